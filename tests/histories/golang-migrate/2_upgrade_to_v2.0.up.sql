DO $$
DECLARE
    amount text;
BEGIN
    FOREACH amount IN ARRAY ARRAY['1.50', '2'] LOOP
        INSERT INTO accounting.entries (amount) VALUES (amount::numeric);
    END LOOP;
END
$$;
-- Found, because nothing of file 1 is left.
CREATE TABLE in_public (id int);
