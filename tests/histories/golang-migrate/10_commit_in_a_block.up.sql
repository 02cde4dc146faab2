DO $do$
BEGIN
    FOR i IN 1..3 LOOP
        INSERT INTO in_public VALUES (i);
        COMMIT;
    END LOOP;
END;
$do$;
CREATE PROCEDURE count_up() LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO in_public SELECT max(id) + 1 FROM in_public;
    COMMIT;
END $$;
CALL count_up();
