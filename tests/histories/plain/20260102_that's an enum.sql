create type state as enum ('a');
alter type state add value 'b';
create table states (s state default 'b');
insert into states default values;
set standard_conforming_strings = off;
