-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY countries_name ON countries (name);
REINDEX TABLE CONCURRENTLY countries;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY countries_name;
