-- What searches look in is apart from the devices: those rows are written anew
-- at every connect, and were then each time put into the index of texts, piece by
-- piece. And these are narrow: some thousand that an index finds are soon sorted.

-- +goose Up
SET LOCAL statement_timeout = 0; -- control's is for searches, not for an index of all devices
CREATE TABLE device_texts (
    id        TEXT COLLATE "C" PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    account   TEXT COLLATE "C" NOT NULL,
    sort_name TEXT COLLATE "C" NOT NULL,
    search    TEXT COLLATE "C" NOT NULL
);
INSERT INTO device_texts SELECT id, account, sort_name, search FROM devices ORDER BY sort_name, id;
-- +goose StatementBegin
CREATE FUNCTION device_texts_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO device_texts VALUES (NEW.id, NEW.account, NEW.sort_name, NEW.search)
        ON CONFLICT (id) DO UPDATE SET account = NEW.account, sort_name = NEW.sort_name, search = NEW.search;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER device_texts_add AFTER INSERT ON devices FOR EACH ROW EXECUTE FUNCTION device_texts_follow();
CREATE TRIGGER device_texts_change AFTER UPDATE ON devices FOR EACH ROW
    WHEN (OLD.search <> NEW.search OR OLD.account <> NEW.account) EXECUTE FUNCTION device_texts_follow(); -- a name is in both
DROP INDEX devices_search;
CREATE INDEX device_texts_search ON device_texts USING gin (search gin_trgm_ops);
-- The characters, and the pairs that begin at odd and at even ones: the trigrams'
-- index knows of three characters and more.
CREATE FUNCTION short_grams(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
$$ SELECT string_to_array($1, NULL)
    || string_to_array(regexp_replace($1, '..', E'\\&\x01', 'g'), E'\x01')
    || string_to_array(regexp_replace(substr($1, 2), '..', E'\\&\x01', 'g'), E'\x01') $$;
CREATE INDEX device_texts_short ON device_texts USING gin (short_grams(search));
-- Without it PostgreSQL would take any piece for rare until autovacuum comes by.
ANALYZE device_texts;
