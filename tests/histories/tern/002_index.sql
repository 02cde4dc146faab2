---- tern: disable-tx ----
create index concurrently notes_text on notes (text);
create index concurrently notes_id on notes (id);
---- create above / drop below ----
drop index notes_text;
