/* A comment; /* in a comment; */ 'with a quote */
CREATE TABLE "People; all of them" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "first ""name""" text NOT NULL DEFAULT 'O''Neill; \',
    note text DEFAULT E'a\'b;\n' -- the end;
);
INSERT INTO "People; all of them" DEFAULT VALUES;
