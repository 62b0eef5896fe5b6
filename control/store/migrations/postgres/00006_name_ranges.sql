-- The order of names in ranges of some ten devices, and of each piece of text in
-- which ranges it is: a search goes through those alone that have all pieces of
-- what was typed (ranges.go). Who writes a device only says that its text changed;
-- control puts that into the ranges afterwards, and until then a search looks at
-- what changed one by one.

-- +goose Up
CREATE TABLE name_ranges (
    range   INTEGER PRIMARY KEY, -- its number in lists
    low     TEXT COLLATE "C" NOT NULL UNIQUE, -- sort_name from here
    high    TEXT COLLATE "C" NOT NULL, -- to below here
    devices BIGINT NOT NULL, -- put in so far, or as counted last
    since   BIGINT NOT NULL -- the newest change when it was made
);
CREATE TABLE range_pieces (
    piece  TEXT COLLATE "C" PRIMARY KEY, -- one, two or three characters
    ranges BYTEA NOT NULL -- a list (rangelist.go)
) WITH (fillfactor = 60); -- rows that change stay on their page
CREATE TABLE text_changes (
    seq    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device TEXT COLLATE "C" NOT NULL
);
INSERT INTO name_ranges VALUES (0, '', U&'\+10FFFF', 0, 0);
INSERT INTO text_changes (device) SELECT id FROM device_texts;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION device_texts_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO device_texts VALUES (NEW.id, NEW.account, NEW.sort_name, NEW.search)
        ON CONFLICT (id) DO UPDATE SET account = NEW.account, sort_name = NEW.sort_name, search = NEW.search;
    INSERT INTO text_changes (device) VALUES (NEW.id);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE INDEX device_texts_name ON device_texts (account, sort_name, id);
