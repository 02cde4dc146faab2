-- migrate:up
CREATE TABLE log (code text);
CREATE RULE log_it AS ON INSERT TO countries DO ALSO (
    INSERT INTO log VALUES (NEW.code);
    INSERT INTO log VALUES (NEW.code || ';')
);
INSERT INTO countries VALUES ('AT');
-- migrate:down
DROP RULE log_it ON countries
