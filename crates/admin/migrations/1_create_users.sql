-- Who may use the admin tool. In its own schema, where no table of yours can be in the way.

CREATE TABLE plain_lambda.users (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email           text NOT NULL CHECK (email LIKE '%_@_%'),
    role            text NOT NULL CHECK (role IN ('viewer', 'editor', 'admin')),
    -- NULL until the person has chosen one.
    password_hash   text,
    -- Sessions of an earlier generation are over.
    generation      bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    last_sign_in_at timestamptz
);

CREATE UNIQUE INDEX users_email ON plain_lambda.users (lower(email));

CREATE TABLE plain_lambda.sign_in_links (
    token_sha256 text PRIMARY KEY,
    user_id      bigint NOT NULL REFERENCES plain_lambda.users (id) ON DELETE CASCADE,
    expires_at   timestamptz NOT NULL
);

CREATE INDEX sign_in_links_user_id ON plain_lambda.sign_in_links (user_id);

CREATE TABLE plain_lambda.sign_in_failures (
    email   text NOT NULL,
    address text NOT NULL,
    at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX sign_in_failures_at ON plain_lambda.sign_in_failures (at);
