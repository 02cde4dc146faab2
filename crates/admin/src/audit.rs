//! The audit: which user changed which row, and how; who signed in, who let whom in, and who took
//! rows away.
//!
//! An entry is written in the transaction of its change. The table is in the schema `plain_lambda`,
//! which the tool does not show, so that no entry can be edited through the tool. The values of
//! columns that hold secrets are not written. Knows no page.

use crate::schema::failed;
use crate::users::{Role, User};
use database::{Row, Transaction};
use handler::Failure;
use records::catalog::{MASK, OnDelete, Table, is_secret_name};
use records::related::Related;
use records::values;
use records::write::Change;
use serde_json::{Value, json};

/// The number of entries on a page.
pub(crate) const PAGE: usize = 50;

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A row was added.
    Insert,
    /// A row was changed.
    Update,
    /// A row was deleted.
    Delete,
}

/// An entry of the audit.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Identifies the entry; a later entry has a larger one.
    pub id: String,
    /// The time, `YYYY-MM-DDTHH:MM:SSZ`.
    pub at: String,
    /// The email that the user had at that time.
    pub email: String,
    /// What was done, in words: `added`, `changed`, `deleted`, and those of [`Deed`].
    pub action: &'static str,
    /// The schema of the row's table.
    pub schema: String,
    /// The name of the row's table.
    pub table: String,
    /// The row's key, as it stands in an address; empty for what is about no row.
    pub key: String,
    /// The values that the change made, replaced or removed.
    pub changes: Vec<Difference>,
}

/// What is in the audit besides changes of the rows of a table that the tool shows.
#[derive(Debug)]
pub(crate) enum Deed<'a> {
    /// A user was added, with this role.
    Added(&'a User),
    /// A user has another role now.
    Role(&'a User, Role),
    /// A user was removed.
    Removed(&'a User),
    /// A one-time link was made for a user.
    Link(&'a User),
    /// The user chose a password: with a link, or with the one before.
    Password {
        /// Whether it was with a link.
        by_link: bool,
    },
    /// The user signed in.
    SignIn {
        /// The IP address.
        address: &'a str,
        /// Whether the browser had signed in to the account before.
        from_known_browser: bool,
    },
    /// The user's session has ended.
    SignOut,
    /// All sessions of a user have ended.
    SignOutEverywhere(&'a User),
    /// Rows of a table were exported.
    Export {
        /// The table.
        table: &'a Table,
        /// The part of the address that selects the rows.
        query: &'a str,
        /// The number of rows.
        rows: usize,
    },
    /// Postgres deleted or changed the rows that referred to a deleted row.
    Followed {
        /// The rows, as they were counted before.
        related: &'a Related<'a>,
        /// The table of the deleted row.
        table: &'a Table,
        /// The deleted row's key, as it stands in an address.
        key: &'a str,
    },
}

/// Who did what is written: a user, or the `user` action, which anybody may invoke who may invoke
/// the function.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By<'a> {
    /// A user.
    User(&'a User),
    /// The `user` action.
    Action,
}

/// A column's value before and after a change. `None` is NULL, or no row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The column's name.
    pub column: String,
    /// The value before the change.
    pub before: Option<String>,
    /// The value after the change.
    pub after: Option<String>,
}

/// Selects the entries that meet every field; an empty text is no condition.
#[derive(Debug, Default, Clone)]
pub(crate) struct EntryFilter {
    /// The email of the user who made the change.
    pub email: String,
    /// The schema of the row's table.
    pub schema: String,
    /// The name of the row's table.
    pub table: String,
    /// The row's key, as it stands in an address.
    pub key: String,
    /// The first day, `YYYY-MM-DD`, in UTC.
    pub from: String,
    /// The last day, which is included.
    pub to: String,
    /// The id of an entry; only older entries are selected.
    pub before: String,
    /// Whether the entries about users and their sign-ins are selected, too.
    pub with_users: bool,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Insert => "insert",
            Action::Update => "update",
            Action::Delete => "delete",
        }
    }
}

/// In place of the user of a refused attempt whose address nobody has.
const NOBODY: &str = "nobody";

impl<'a> By<'a> {
    fn id(self) -> i64 {
        match self {
            By::User(user) => user.id,
            By::Action => 0,
        }
    }

    fn email(self) -> &'a str {
        match self {
            By::User(user) => &user.email,
            By::Action => "the user action",
        }
    }
}

/// Adds the entry for a change. Of an update it holds only the columns that differ.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`, `Function.MigrationsPending`; the change must not
/// be committed then.
pub(crate) fn write(
    transaction: &mut Transaction,
    user: &User,
    request_id: &str,
    action: Action,
    table: &Table,
    change: &Change,
) -> Result<(), Failure> {
    let columns = table.columns.iter().map(|column| column.name.as_str());
    let secret: Vec<&str> = columns.filter(|name| is_secret_name(name)).collect();
    let entry = New {
        by: By::User(user),
        action: action.name(),
        place: (&table.schema, &table.name),
        key: values::encode(change.key.iter().map(Option::as_deref)),
        before: change.before.clone(),
        after: change.after.clone(),
        secret: json!(secret).to_string(),
    };
    add(transaction, request_id, &entry)
}

/// Adds the entry for a deed.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`, `Function.MigrationsPending`; the deed must not be
/// committed then.
pub(crate) fn record(
    transaction: &mut Transaction,
    by: By,
    request_id: &str,
    deed: &Deed,
) -> Result<(), Failure> {
    let as_row = |user: &User| json!({"email": user.email, "role": user.role.name()}).to_string();
    let (action, id, before, after) = match deed {
        Deed::Added(user) => ("insert", user.id, None, Some(as_row(user))),
        Deed::Removed(user) => ("delete", user.id, Some(as_row(user)), None),
        Deed::Role(user, role) => {
            let before = json!({"role": user.role.name()}).to_string();
            let after = json!({"email": user.email, "role": role.name()}).to_string();
            ("update", user.id, Some(before), Some(after))
        }
        Deed::Link(user) => ("link", user.id, None, Some(as_row(user))),
        Deed::Password { by_link } => {
            let how = json!({"by_link": by_link}).to_string();
            ("password", by.id(), None, Some(how))
        }
        Deed::SignIn {
            address,
            from_known_browser,
        } => {
            let how = json!({"address": address, "known_browser": from_known_browser}).to_string();
            ("sign-in", by.id(), None, Some(how))
        }
        Deed::SignOut => ("sign-out", by.id(), None, None),
        Deed::SignOutEverywhere(user) => {
            let whose = json!({"email": user.email, "sessions": "all"}).to_string();
            ("sign-out", user.id, None, Some(whose))
        }
        Deed::Export { query, rows, .. } => {
            let what = json!({"query": query, "rows": rows}).to_string();
            ("export", 0, None, Some(what))
        }
        Deed::Followed {
            related,
            table,
            key,
        } => {
            let what = json!({
                "because of": format!("{}.{} {key}", table.schema, table.name),
                "rows before": related.counted(),
            });
            let action = match related.on_delete {
                OnDelete::Cascade => "delete",
                OnDelete::SetNull | OnDelete::Restrict => "update",
            };
            (action, 0, None, Some(what.to_string()))
        }
    };
    let (place, key) = match deed {
        Deed::Export { table, .. }
        | Deed::Followed {
            related: Related { table, .. },
            ..
        } => ((&*table.schema, &*table.name), String::new()),
        _ => (("plain_lambda", "users"), id.to_string()),
    };
    let entry = New {
        by,
        action,
        place,
        key,
        before,
        after,
        secret: "[]".to_string(),
    };
    add(transaction, request_id, &entry)
}

/// Counts an attempt to sign in whose password was wrong: one entry an hour for each user, and one
/// for all addresses that nobody has, so that guesses do not fill the table.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`, `Function.MigrationsPending`.
pub(crate) fn count_refusal(
    transaction: &mut Transaction,
    user: Option<&User>,
    request_id: &str,
) -> Result<(), Failure> {
    let (id, email) = user.map_or((0, NOBODY), |user| (user.id, user.email.as_str()));
    let statement = "
        WITH counted AS (
            UPDATE plain_lambda.audit
            SET attempts = attempts + 1
            WHERE id = (
                SELECT max(id) FROM plain_lambda.audit
                WHERE action = 'refusal' AND user_id = $1::bigint
                    AND at >= date_trunc('hour', now()))
            RETURNING id)
        INSERT INTO plain_lambda.audit
            (user_id, email, action, table_schema, table_name, key, attempts, request_id)
        SELECT $1::bigint, $2, 'refusal', 'plain_lambda', 'users', $1, 1, $3
        WHERE NOT EXISTS (SELECT FROM counted)";
    let id = id.to_string();
    let parameters = [Some(id.as_str()), Some(email), Some(request_id)];
    transaction.rows(statement, &parameters).map_err(failed)?;
    Ok(())
}

/// An entry that is added.
struct New<'a> {
    by: By<'a>,
    action: &'static str,
    /// The schema and the name of the table.
    place: (&'a str, &'a str),
    key: String,
    /// JSON objects, of which only the keys whose values differ are written.
    before: Option<String>,
    after: Option<String>,
    /// A JSON array of the keys whose values are masked.
    secret: String,
}

fn add(transaction: &mut Transaction, request_id: &str, entry: &New) -> Result<(), Failure> {
    // `$1` to `$8` and `$10` are of `entry`. A secret that changed is an entry, without its value.
    let side = |own: &str, other: &str| {
        format!(
            "(SELECT jsonb_object_agg(key, CASE WHEN $10::jsonb ? key AND value <> 'null'
                  THEN to_jsonb('{MASK}'::text) ELSE value END)
              FROM jsonb_each({own}::jsonb)
              WHERE {other} IS NULL OR value IS DISTINCT FROM {other}::jsonb -> key)"
        )
    };
    let statement = format!(
        "INSERT INTO plain_lambda.audit
             (user_id, email, action, table_schema, table_name, key, before, after, request_id)
         SELECT $1::bigint, $2, $3, $4, $5, $6, {}, {}, $9",
        side("$7", "$8"),
        side("$8", "$7")
    );
    let id = entry.by.id().to_string();
    let parameters = [
        Some(id.as_str()),
        Some(entry.by.email()),
        Some(entry.action),
        Some(entry.place.0),
        Some(entry.place.1),
        Some(&entry.key),
        entry.before.as_deref(),
        entry.after.as_deref(),
        Some(request_id),
        Some(&entry.secret),
    ];
    transaction.rows(&statement, &parameters).map_err(failed)?;
    Ok(())
}

/// Returns at most `limit` entries, the newest first, and whether there are older ones.
///
/// # Errors
/// Postgres's own; of class 22 when `from` or `to` is not a date, or `before` not an id.
pub(crate) fn list(
    transaction: &mut Transaction,
    filter: &EntryFilter,
    limit: usize,
) -> Result<(Vec<Entry>, bool), postgres::Error> {
    let conditions = [
        ("email = $?", &filter.email),
        ("table_schema = $?", &filter.schema),
        ("table_name = $?", &filter.table),
        ("key = $?", &filter.key),
        ("at >= $?::date", &filter.from),
        ("at < $?::date + 1", &filter.to),
        ("id < $?::bigint", &filter.before),
    ];
    let about = match filter.with_users {
        true => "true",
        false => "table_schema <> 'plain_lambda'",
    };
    let (mut clauses, mut parameters) = (vec![about.to_string()], Vec::new());
    for (condition, value) in conditions {
        if !value.is_empty() {
            parameters.push(Some(value.as_str()));
            clauses.push(condition.replace("$?", &format!("${}", parameters.len())));
        }
    }
    let statement = format!(
        "SELECT id::text, to_char(at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), email, action, table_schema,
                table_name, key,
                (SELECT json_agg(json_build_array(k, left(before ->> k, 400), left(after ->> k, 400))
                                 ORDER BY k)
                 FROM jsonb_object_keys(coalesce(before, '{{}}') || coalesce(after, '{{}}')) k)::text
         FROM (SELECT id, at, email, action, table_schema, table_name, key, before,
                      CASE WHEN attempts IS NULL THEN after
                           ELSE jsonb_build_object('attempts', attempts) END AS after
               FROM plain_lambda.audit) entries
         WHERE {} ORDER BY id DESC LIMIT {}",
        clauses.join(" AND "),
        limit + 1
    );
    let rows = transaction.rows(&statement, &parameters)?;
    let more = rows.len() > limit;
    Ok((rows.into_iter().take(limit).map(entry).collect(), more))
}

/// Returns the last thirty days, the oldest first, each with its number of changes.
///
/// # Errors
/// Postgres's own.
pub(crate) fn by_day(transaction: &mut Transaction) -> Result<Vec<(String, u64)>, postgres::Error> {
    let statement = "
        SELECT to_char(day, 'YYYY-MM-DD'), count(id)::text
        FROM generate_series(current_date - 29, current_date, interval '1 day') day
        LEFT JOIN plain_lambda.audit ON at >= day AND at < day + interval '1 day'
            AND table_schema <> 'plain_lambda' AND action <> 'export'
        GROUP BY day ORDER BY day";
    let rows = transaction.rows(statement, &[])?;
    let number = |text: Option<String>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
    let days = rows.into_iter();
    Ok(days
        .map(|mut row| (row[0].take().unwrap_or_default(), number(row[1].take())))
        .collect())
}

fn entry(row: Row) -> Entry {
    let mut row = row.into_iter();
    let mut next = || row.next().flatten().unwrap_or_default();
    Entry {
        id: next(),
        at: next(),
        email: next(),
        action: match next().as_str() {
            "insert" => "added",
            "delete" => "deleted",
            "link" => "link made",
            "sign-in" => "signed in",
            "sign-out" => "signed out",
            "refusal" => "wrong password",
            "password" => "password chosen",
            "export" => "exported",
            _ => "changed",
        },
        schema: next(),
        table: next(),
        key: next(),
        changes: differences(&next()),
    }
}

/// Reads a JSON array of `[column, before, after]`; none when it is empty.
fn differences(json: &str) -> Vec<Difference> {
    let json: Value = serde_json::from_str(json).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_string);
    let changes = json.as_array().into_iter().flatten();
    changes
        .map(|change| {
            let column = text(&change[0]).unwrap_or_default();
            // Entries of version 0.1 have the values.
            let is_secret = is_secret_name(&column);
            let shown = |value: &Value| match text(value) {
                Some(_) if is_secret => Some(MASK.to_string()),
                value => value,
            };
            Difference {
                before: shown(&change[1]),
                after: shown(&change[2]),
                column,
            }
        })
        .collect()
}
