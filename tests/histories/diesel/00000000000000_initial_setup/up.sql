-- Keeps updated_at up to date; the semicolons in it end nothing.
CREATE OR REPLACE FUNCTION manage_updated_at(_table regclass) RETURNS void AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER set_updated_at BEFORE UPDATE ON %s
                    FOR EACH ROW EXECUTE PROCEDURE set_updated_at()', _table);
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE FUNCTION set_updated_at() RETURNS trigger AS $body$
BEGIN
    IF (NEW IS DISTINCT FROM OLD AND NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at) THEN
        NEW.updated_at := '2026-01-01 00:00:00'; -- $$ is no end
    END IF;
    RETURN NEW;
END;
$body$ LANGUAGE plpgsql;
