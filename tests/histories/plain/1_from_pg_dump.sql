--
-- PostgreSQL database dump
--

\restrict 0123456789abcdef

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET default_table_access_method = heap;

CREATE TABLE public.old (
    id integer NOT NULL,
    "größe" text DEFAULT 'x;'::text
);
ALTER TABLE public.old OWNER TO CURRENT_USER;
CREATE SEQUENCE public.old_id_seq AS integer START WITH 1;
ALTER SEQUENCE public.old_id_seq OWNED BY public.old.id;
ALTER TABLE ONLY public.old ALTER COLUMN id SET DEFAULT nextval('public.old_id_seq'::regclass);

COPY public.old (id, "größe") FROM stdin;
1	a\tb\\;
2	\N
\.

SELECT pg_catalog.setval('public.old_id_seq', 2, true);

\unrestrict 0123456789abcdef

