create table notes (
  id int primary key,
  text text not null
);

---- create above / drop below ----

drop table notes;
