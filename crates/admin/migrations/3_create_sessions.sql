-- Sessions that can be ended, attempts counted by browser, and an audit of more than rows.

-- A session without a row here has ended. users.generation is no longer read.
CREATE TABLE plain_lambda.sessions (
    token_sha256 text PRIMARY KEY,
    user_id      bigint NOT NULL REFERENCES plain_lambda.users (id) ON DELETE CASCADE,
    signed_in_at timestamptz NOT NULL DEFAULT now(),
    -- When the user last gave the password.
    confirmed_at timestamptz NOT NULL DEFAULT now(),
    -- The table and the transaction that made the row. A restored row has others: it is no session.
    origin       text NOT NULL
);

CREATE INDEX sessions_user_id ON plain_lambda.sessions (user_id);

-- NULL for a browser that has not signed in to the account before.
ALTER TABLE plain_lambda.sign_in_failures ADD COLUMN device text;

-- NOT VALID: the rows before it meet the narrower one, and need not be read.
ALTER TABLE plain_lambda.audit DROP CONSTRAINT audit_action_check,
    ADD CONSTRAINT audit_action_check CHECK (action IN ('insert', 'update', 'delete', 'link',
        'sign-in', 'refusal', 'sign-out', 'password', 'export')) NOT VALID,
    -- Of an entry of wrong passwords, how many there were in its hour: all of an entry that changes.
    ADD COLUMN attempts bigint;
