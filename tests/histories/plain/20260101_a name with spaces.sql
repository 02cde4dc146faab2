create extension if not exists pg_trgm;
create domain "e-mail" as text check (value ~ '@');
create aggregate longest(text) (sfunc = text_larger, stype = text);
create operator === (leftarg = text, rightarg = text, function = texteq);
create materialized view longest as select longest("größe") from old;
create unique index on longest (longest);
refresh materialized view concurrently longest;
grant select on longest to public;
