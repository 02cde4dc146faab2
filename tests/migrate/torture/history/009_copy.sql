create table countries (code text primary key, name text);
copy countries from stdin;
at	Austria
be	Belgium
ch	Switzerland; not "begin"
dk	\N
\.
copy countries (name, code) from stdin with (format csv);
"Spain; -- no comment",es
"two
lines",xx
\.
insert into tally values (9, 1);
