-- Visits that follow whichever of a pair serves name no device: they are in the
-- lists of both.

-- +goose Up
CREATE INDEX visits_site ON visits (site, started, id) WHERE device = '';
