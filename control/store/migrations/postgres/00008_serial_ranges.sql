-- The order of serial numbers in ranges, as that of names has them (ranges.go), with
-- changes of its own: a control of before, which may run beside this one, takes away
-- those of names alone.

-- +goose Up
CREATE TABLE serial_ranges (
    range   INTEGER PRIMARY KEY,
    low     TEXT COLLATE "C" NOT NULL UNIQUE,
    high    TEXT COLLATE "C" NOT NULL,
    devices BIGINT NOT NULL,
    since   BIGINT NOT NULL
);
CREATE TABLE serial_pieces (
    piece  TEXT COLLATE "C" PRIMARY KEY,
    ranges BYTEA NOT NULL
) WITH (fillfactor = 60);
CREATE TABLE serial_changes (
    seq    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device TEXT COLLATE "C" NOT NULL
);
-- +goose StatementBegin
CREATE FUNCTION serial_changes_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO serial_changes (device) VALUES (NEW.id);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER serial_changes_add AFTER INSERT ON devices FOR EACH ROW EXECUTE FUNCTION serial_changes_follow();
CREATE TRIGGER serial_changes_change AFTER UPDATE ON devices FOR EACH ROW
    WHEN (OLD.search <> NEW.search OR OLD.serial IS DISTINCT FROM NEW.serial) EXECUTE FUNCTION serial_changes_follow();
INSERT INTO serial_ranges VALUES (0, '', U&'\+10FFFF', 0, 0);
INSERT INTO serial_changes (device) SELECT id FROM devices;
