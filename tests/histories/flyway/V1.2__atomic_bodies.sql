CREATE FUNCTION cheapest() RETURNS int
BEGIN ATOMIC
    SELECT CASE WHEN count(*) = 0 THEN 0 ELSE min(price) END FROM items;
END;
CREATE OR REPLACE PROCEDURE add_item(id int, price int)
LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO items VALUES (id, price);
    INSERT INTO items VALUES (-id, -price);
END;
CALL add_item(1, 10);
