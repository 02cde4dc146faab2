-- Who has changed what through the admin tool, written in the change's own transaction.

CREATE TABLE plain_lambda.audit (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT now(),
    user_id      bigint NOT NULL,
    -- As it was then: people go, and what they did stays.
    email        text NOT NULL,
    action       text NOT NULL CHECK (action IN ('insert', 'update', 'delete')),
    table_schema text NOT NULL,
    table_name   text NOT NULL,
    key          text NOT NULL,
    -- Of an update, the columns that it changed.
    before       jsonb,
    after        jsonb,
    request_id   text NOT NULL
);

CREATE INDEX audit_row ON plain_lambda.audit (table_schema, table_name, key, id);
CREATE INDEX audit_email ON plain_lambda.audit (email, id);
CREATE INDEX audit_at ON plain_lambda.audit (at);
