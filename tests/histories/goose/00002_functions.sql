-- A comment before the first mark.

--+goose Up
--+goose StatementBegin
CREATE FUNCTION titles() RETURNS TABLE (title text) AS $$
    SELECT title FROM posts; -- of all
$$ LANGUAGE sql STABLE;
--+goose StatementEnd

CREATE FUNCTION without_marks() RETURNS int AS '
BEGIN
    RETURN 1;
END;
' LANGUAGE plpgsql;

--+goose Down
--+goose StatementBegin
DROP FUNCTION titles();
--+goose StatementEnd
