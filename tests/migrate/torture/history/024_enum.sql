create type mood as enum ('good', 'bad');
create table moods (mood mood not null);
insert into moods values ('good');
insert into tally values (24, 1);
