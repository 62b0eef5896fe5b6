-- A search by last change sorts what an index of texts finds: the narrow rows of
-- texts say since when a device is as it is, so that no whole device is read for
-- each. That column is in no index, and the pages have room, so that a change of it
-- is written in its page (HOT), beside no index of texts.

-- +goose Up
SET LOCAL statement_timeout = 0;
ALTER TABLE device_texts SET (fillfactor = 70);
ALTER TABLE device_texts ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
CREATE FUNCTION device_since(text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT since FROM devices WHERE id = $1';
ALTER TABLE device_texts ALTER COLUMN since TYPE BIGINT USING device_since(id); -- written anew, once
DROP FUNCTION device_since(text);
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION device_texts_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO device_texts (id, account, sort_name, search, since) VALUES (NEW.id, NEW.account, NEW.sort_name, NEW.search, NEW.since)
        ON CONFLICT (id) DO UPDATE SET account = NEW.account, sort_name = NEW.sort_name, search = NEW.search;
    INSERT INTO text_changes (device) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE FUNCTION device_texts_since() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE device_texts SET since = NEW.since WHERE id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER device_texts_since AFTER UPDATE ON devices FOR EACH ROW
    WHEN (OLD.since <> NEW.since) EXECUTE FUNCTION device_texts_since();
ANALYZE device_texts;
