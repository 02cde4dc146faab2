-- migrate:up
CREATE TABLE countries (code text PRIMARY KEY, name text, note text);

COPY countries (code, name, note) FROM stdin;
CH	Schweiz; Suisse	\N
FR	France	'it''s; "open
\.

COPY countries FROM STDIN WITH (FORMAT csv, HEADER true);
code,name,note
IT,"Italia, ""bella""; sì",
-- no comment,;,x
\.

-- migrate:down
DROP TABLE countries;
