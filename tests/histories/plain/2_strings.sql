-- old is found again: file 1 left its search path behind.
insert into old values (3, U&'d\0061t\+000061' || $a$ $b$ ; $$ $a$ || e'\'' || 'two '
    'parts;');
set standard_conforming_strings = off;
set escape_string_warning = off;
insert into old values (4, 'it\'s; old');
set standard_conforming_strings = on;
insert into old values (5, '\'); insert into old values (6, N'\');;
comment on column old."größe" is 'ends without a semicolon'
