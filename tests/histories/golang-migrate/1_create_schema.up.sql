BEGIN;
SET search_path TO nowhere;
CREATE SCHEMA IF NOT EXISTS accounting;
CREATE TABLE accounting.entries (id bigserial PRIMARY KEY, amount numeric(12, 2) NOT NULL);
END;
