-- no-transaction
CREATE INDEX CONCURRENTLY people_names ON "People; all of them" (("first ""name"""));
CREATE INDEX CONCURRENTLY IF NOT EXISTS people_notes ON "People; all of them" (note);
