set local lock_timeout = '1s';
set statement_timeout = '90s';
set default_tablespace = '';
create temporary table t on commit drop as select 1 as id, '---- drop below' as text;
insert into notes select * from t;
alter table notes enable row level security, force row level security;
create policy "only; mine" on notes using (text = current_setting('app.user', true));
