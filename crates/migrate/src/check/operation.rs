//! The words for what a statement does to a table: a lock, the work under it, the condition for the
//! work, and what is safe instead.
//!
//! Must not know any SQL.

use super::words::Name;

/// What a statement does, as far as its words show.
#[derive(Default)]
pub(super) struct Reading {
    /// What it does to tables that may exist.
    pub operations: Vec<Operation>,
    /// What it changes for the statements that follow it.
    pub effects: Vec<Effect>,
    /// Why its words do not show what it does.
    pub unknown: Option<&'static str>,
}

/// One lock, and the work that is done under it.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    /// The table, or how it is found.
    pub relation: Relation,
    /// The lock on it.
    pub lock: Lock,
    /// What takes as long as the table is large.
    pub work: Work,
    /// The condition under which the work is done.
    pub when: When,
    /// What is safe instead; empty if the lock is brief and harms nobody.
    pub instead: &'static str,
}

/// How a table is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Relation {
    /// By its own name.
    Table(Name),
    /// By the name of an index on it.
    OfIndex(Name),
    /// The default partition of this table.
    DefaultOf(Name),
    /// The largest table with a column of this domain.
    WithDomain(Name),
}

/// The locks on tables, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lock {
    AccessShare,
    RowExclusive,
    ShareUpdateExclusive,
    /// The weakest lock that keeps others from writing.
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

/// The kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// None: the lock is brief.
    Nothing,
    /// Rows are read into another table.
    Copy,
    /// Some rows are changed; the words do not show how many.
    ChangeSome,
    /// All rows are read once.
    Scan,
    /// An index is built.
    Index,
    /// All rows are changed.
    ChangeAll,
    /// The table is written anew, with its indexes.
    Rewrite,
}

/// What the catalog has to say for the work to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// The index does not exist.
    NoIndex(Name),
    /// One of these functions is volatile, and the table does not have the column if it is given.
    Volatile(Vec<String>),
    /// The domain has a constraint.
    Constrained(String),
    /// The column may hold NULL, as far as its constraints say.
    Nullable(String),
    /// A column of the index may hold NULL.
    NullableIndex(Name),
    /// Values of the column have to be converted to a type with these modifiers.
    Converted(String, String, Vec<i32>),
    /// A CHECK is about the column.
    Checked(String),
    /// An index is about the column, whose type would sort differently.
    Resorted(String, String),
    /// An index is about the column.
    Indexed(String),
    /// No CHECK is about the columns by which this table is partitioned.
    Unproven(Name),
    /// The table is not partitioned.
    NoPartitions,
    /// The table has another persistence.
    Persistence(char),
    /// The table does not have the column, and the other condition holds.
    NoColumn(String, Box<When>),
}

/// What a statement changes for those that follow it.
pub(super) enum Effect {
    /// The table or index is new, or is empty, or is gone.
    New(Name),
    /// The first has the second name now.
    Renamed(Name, Name),
    /// A volatile function, or a domain with a constraint.
    Defined(String),
    /// The constraint of the table says that the column is not NULL.
    NotNull(Name, String, String),
    /// The table's constraint is valid.
    Validated(Name, String),
    /// The schemas in which names are looked up; none means the session's own.
    SearchPath(Vec<String>),
}

impl Reading {
    /// Adds what is done to a table.
    pub(super) fn add(
        &mut self,
        relation: Relation,
        lock: Lock,
        work: Work,
        instead: &'static str,
    ) -> &mut Operation {
        let at = self.operations.len();
        self.operations.push(Operation {
            relation,
            lock,
            work,
            when: When::Always,
            instead,
        });
        &mut self.operations[at]
    }

    /// Adds a lock that is brief.
    pub(super) fn add_brief(&mut self, table: Name, lock: Lock) {
        self.add(Relation::Table(table), lock, Work::Nothing, "");
    }
}

impl Operation {
    /// Returns whether it harms others while the table is large: nobody can write for as long as the
    /// work takes, or every row is locked.
    pub(super) fn is_unsafe(&self) -> bool {
        (self.lock.stops_writes() && self.work != Work::Nothing) || self.work == Work::ChangeAll
    }

    /// Returns whether it is worth saying while the table is large.
    pub(super) fn is_worth_saying(&self) -> bool {
        match self.work {
            Work::Nothing => !self.instead.is_empty(),
            Work::Copy | Work::ChangeSome | Work::ChangeAll => true,
            Work::Scan | Work::Index | Work::Rewrite => self.lock > Lock::ShareUpdateExclusive,
        }
    }
}

impl Lock {
    /// Returns the lock's name in SQL.
    pub(super) fn name(self) -> &'static str {
        match self {
            Lock::AccessShare => "ACCESS SHARE",
            Lock::RowExclusive => "ROW EXCLUSIVE",
            Lock::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Lock::Share => "SHARE",
            Lock::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Lock::Exclusive => "EXCLUSIVE",
            Lock::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }

    /// Returns whether others cannot write while the lock is held.
    pub(super) fn stops_writes(self) -> bool {
        self >= Lock::Share
    }
}

impl Work {
    /// Returns the word for the work in a reply, and in the name that allows it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Work::Nothing => "none",
            Work::Copy => "copy",
            Work::ChangeSome | Work::ChangeAll => "change",
            Work::Scan => "scan",
            Work::Index => "index",
            Work::Rewrite => "rewrite",
        }
    }

    /// Returns about how many bytes of the table are worked through in a second. Rough, and on the
    /// slow side of what a small server does with narrow rows.
    pub(super) fn bytes_per_second(self) -> i64 {
        const MB: i64 = 1_000_000;
        match self {
            Work::Nothing => i64::MAX,
            Work::Scan => 200 * MB,
            Work::Index => 50 * MB,
            Work::Copy | Work::Rewrite => 30 * MB,
            Work::ChangeSome | Work::ChangeAll => 10 * MB,
        }
    }
}
