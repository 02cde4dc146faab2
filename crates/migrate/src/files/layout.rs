//! Finds the files of a directory, whichever tool's layout it has, and puts them together to
//! migrations.
//!
//! Must not know what a file's text says, or any database.

use super::flyway::{Callback, Callbacks, Conf};
use super::name::{self, Name, NameKind};
use super::problems::{Problem, Problems};
use super::read::{Variables, read};
use super::sections::{Section, Sections};
use super::{Files, Migration, Order, SEED, Script, Start, Version};
use super::{flyway, journal, options, structure};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};

/// The files of a directory that were read so far.
pub(super) struct Listing {
    parts: Vec<Part>,
    callbacks: Callbacks,
    problems: Problems,
    conf: Conf,
    /// The names in drizzle's journal, in order.
    journal: Option<Vec<String>>,
    /// Rails' dump, with the versions that it stands for.
    structure: Option<(Part, Vec<String>)>,
    /// The folders of which no file is a migration, though files of SQL are in them.
    passed_over: Vec<PathBuf>,
    /// Whether the directory has the checksums of atlas, which sorts files by their names.
    has_atlas_sum: bool,
}

/// A script with what its name says.
struct Part {
    name: Name,
    /// The whole name, without the extension.
    whole: String,
    layout: Layout,
    is_dbmate: bool,
    script: Script,
}

/// Where a script was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// A file.
    File,
    /// `<version>_<name>/up.sql`, as diesel has it.
    Diesel,
    /// `<version>_<name>/migration.sql`, as Prisma has it.
    Prisma,
}

/// The depth to which directories are searched; a symbolic link may form a cycle.
const MAX_DEPTH: usize = 8;

/// The name of Rails' dump.
const STRUCTURE: &str = "structure.sql";

impl Listing {
    /// Reads a directory and those below it.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(super) fn of(dir: &Path) -> io::Result<Listing> {
        let entries = entries(dir)?;
        let mut problems = Problems::default();
        let mut keep = |problem| problems.add(problem);
        let conf = Conf::read(dir).map_err(&mut keep).unwrap_or_default();
        let journal = journal::read(dir).map_err(&mut keep).unwrap_or_default();
        let mut listing = Listing {
            parts: Vec::new(),
            callbacks: Callbacks::default(),
            problems,
            conf,
            journal,
            structure: None,
            passed_over: Vec::new(),
            has_atlas_sum: dir.join("atlas.sum").is_file(),
        };
        listing.add_structure(&dir.join(STRUCTURE));
        let locations = mem::take(&mut listing.conf.locations);
        if locations.is_empty() {
            listing.add_entries(entries, MAX_DEPTH);
        }
        for location in locations {
            if !listing.add_flyway_files(&location, MAX_DEPTH) {
                let reason = "flyway's settings name it, and it has no file of Flyway's";
                listing.problems.add(Problem::of(&location, reason));
            }
        }
        Ok(listing)
    }

    fn add_entries(&mut self, entries: Vec<PathBuf>, depth: usize) {
        for path in entries {
            match path.is_dir() {
                true => self.add_directory(&path, depth),
                false => self.add_file(&path),
            }
        }
    }

    fn add_file(&mut self, path: &Path) {
        let file_name = file_name(path);
        if file_name == SEED || file_name == STRUCTURE && self.structure.is_some() {
            return;
        }
        if let Some(callback) = flyway::callback(&file_name) {
            return self.add_callback(callback, path);
        }
        let (stem, _) = file_name.rsplit_once('.').unwrap_or_default();
        let mut found = name::of_file(&self.with_usual_prefix(&file_name));
        if let Some(Err(reason)) = found {
            match self.is_known_without_version(path, stem, reason) {
                Some(true) => found = Some(Ok(named_by_journal(stem))),
                Some(false) => return,
                None => {}
            }
        }
        match found {
            None => {}
            Some(Err(reason)) => self.problems.add(Problem::of(path, reason)),
            Some(Ok(name)) => match options::read_flyway_conf(path) {
                Ok(transaction) => {
                    let transaction = transaction && name.transaction && self.conf.transaction;
                    self.add_script(name, path, stem, Layout::File, transaction);
                }
                Err(problem) => self.problems.add(problem),
            },
        }
    }

    /// Returns the file's name with `V` for the prefix that Flyway's settings give.
    fn with_usual_prefix<'a>(&self, file_name: &'a str) -> Cow<'a, str> {
        let prefix = self
            .conf
            .prefix
            .as_deref()
            .filter(|prefix| !prefix.is_empty());
        match prefix.and_then(|prefix| file_name.strip_prefix(prefix)) {
            Some(rest) => format!("V{rest}").into(),
            None => file_name.into(),
        }
    }

    /// Returns whether a file whose name is refused is a migration all the same (`Some(true)`: the
    /// journal names it), or need not be one (`Some(false)`: a dump stands for it, or is it).
    fn is_known_without_version(&self, path: &Path, stem: &str, reason: &str) -> Option<bool> {
        let is_in_journal = |tags: &Vec<String>| tags.iter().any(|tag| tag == stem);
        if reason == name::WRONG && self.journal.as_ref().is_some_and(is_in_journal) {
            return Some(true);
        }
        let version = stem.split('_').next().unwrap_or_default();
        let is_covered =
            |(_, versions): &(Part, Vec<String>)| versions.iter().any(|one| one == version);
        if self.structure.as_ref().is_some_and(is_covered) {
            return Some(false);
        }
        let is_dump =
            || fs::read_to_string(path).is_ok_and(|text| !structure::versions(&text).is_empty());
        (stem == "schema" && is_dump()).then_some(false)
    }

    /// Adds a directory that is one migration, as diesel and Prisma write it; or one that holds files
    /// of Flyway; or one whose name is a number, such as a year, which holds migrations.
    fn add_directory(&mut self, path: &Path, depth: usize) {
        let dir_name = file_name(path);
        let name = name::of_directory(&dir_name);
        let [up, migration, down] = ["up.sql", "migration.sql", "down.sql"]
            .map(|file| Some(path.join(file)).filter(|path| path.is_file()));
        let is_number = name.as_ref().is_some_and(|name| name.name.is_empty());
        let has_script = up.is_some() || migration.is_some() || down.is_some();
        let looks_like_one = name.is_some() || has_script;
        match (name, up, migration) {
            (Some(name), Some(up), None) => {
                self.add_migration_directory(name, path, &up, down.as_deref(), Layout::Diesel);
            }
            (Some(name), None, Some(up)) => {
                self.add_migration_directory(name, path, &up, down.as_deref(), Layout::Prisma);
            }
            _ if self.add_flyway_files(path, depth) => {}
            _ if is_number && !has_script && depth > 0 => {
                self.add_entries(entries(path).unwrap_or_default(), depth - 1);
            }
            // Rails' own, of which `structure.sql` is the dump.
            _ if dir_name == "migrate" && self.structure.is_some() => {
                self.add_entries(entries(path).unwrap_or_default(), 0);
            }
            _ if looks_like_one => {
                let reason = "not a directory <version>_<name> with up.sql or migration.sql";
                self.problems.add(Problem::of(path, reason));
            }
            _ if has_sql(path, depth) => self.passed_over.push(path.to_path_buf()),
            _ => {}
        }
    }

    fn add_migration_directory(
        &mut self,
        name: Name,
        dir: &Path,
        up: &Path,
        down: Option<&Path>,
        layout: Layout,
    ) {
        let transaction = match options::read_diesel_metadata(dir) {
            Ok(transaction) => transaction,
            Err(problem) => return self.problems.add(problem),
        };
        let whole = file_name(dir);
        if let Some(down) = down {
            let name = Name {
                version: name.version.clone(),
                name: String::new(),
                kind: NameKind::Down,
                ..name
            };
            self.add_script(name, down, &whole, layout, transaction);
        }
        self.add_script(name, up, &whole, layout, transaction);
    }

    /// Adds the files that have Flyway's names, from this directory and those below it; returns
    /// whether there are any.
    fn add_flyway_files(&mut self, dir: &Path, depth: usize) -> bool {
        let mut found = false;
        for path in entries(dir).unwrap_or_default() {
            let file_name = file_name(&path);
            if path.is_dir() {
                found |= depth > 0 && self.add_flyway_files(&path, depth - 1);
            } else if name::is_flyway(&self.with_usual_prefix(&file_name))
                || flyway::callback(&file_name).is_some()
            {
                self.add_file(&path);
                found = true;
            }
        }
        found
    }

    fn add_callback(&mut self, callback: Callback, path: &Path) {
        let list = match callback {
            Callback::BeforeMigrate => &mut self.callbacks.before,
            Callback::BeforeEachMigrate => &mut self.callbacks.before_each,
            Callback::AfterEachMigrate => &mut self.callbacks.after_each,
            Callback::AfterMigrate => &mut self.callbacks.after,
            Callback::OfAnotherCommand => return,
            Callback::Unsupported => {
                let reason = "a callback of Flyway that is not run here: write its statements into \
                              beforeMigrate.sql or afterMigrate.sql";
                return self.problems.add(Problem::of(path, reason));
            }
        };
        match read(path, false, &self.conf.variables) {
            Ok((text, sections)) => list.push(Script {
                path: path.to_path_buf(),
                text,
                section: sections.up.span,
                transaction: sections.up.transaction,
            }),
            Err(problem) => self.problems.add(problem),
        }
    }

    fn add_script(
        &mut self,
        name: Name,
        path: &Path,
        whole: &str,
        layout: Layout,
        transaction: bool,
    ) {
        let is_down = name.kind == NameKind::Down;
        let is_flyway = name::is_flyway(&self.with_usual_prefix(&file_name(path)));
        let variables = match is_flyway {
            true => &self.conf.variables,
            false => &Variables::None,
        };
        let (text, sections) = match read(path, is_down, variables) {
            Ok(read) => read,
            Err(problem) => return self.problems.add(problem),
        };
        let Sections {
            up,
            down,
            is_dbmate,
        } = sections;
        let script = |text, section: Section| Script {
            path: path.to_path_buf(),
            text,
            transaction: section.transaction && transaction,
            section: section.span,
        };
        let part = |name, script| Part {
            name,
            whole: whole.to_string(),
            layout,
            is_dbmate,
            script,
        };
        if is_down {
            let script = script(text, down.unwrap_or(up));
            return self.parts.push(part(name, script));
        }
        if let Some(down) = down {
            let kind = NameKind::Down;
            let (version, below) = (name.version.clone(), name.name.clone());
            let name = Name {
                version,
                name: below,
                kind,
                ..name
            };
            self.parts.push(part(name, script(text.clone(), down)));
        }
        self.parts.push(part(name, script(text, up)));
    }

    fn add_structure(&mut self, path: &Path) {
        if !path.is_file() {
            return;
        }
        let (text, sections) = match read(path, false, &Variables::None) {
            Ok(read) => read,
            Err(problem) => return self.problems.add(problem),
        };
        let versions = structure::versions(&text);
        let Some(newest) = versions.last() else {
            return;
        };
        let name = Name {
            version: newest.clone(),
            name: "structure".to_string(),
            kind: NameKind::Baseline,
            is_for_postgres: false,
            transaction: true,
        };
        let script = Script {
            path: path.to_path_buf(),
            text,
            section: sections.up.span,
            transaction: true,
        };
        let part = Part {
            name,
            whole: "structure".to_string(),
            layout: Layout::File,
            is_dbmate: false,
            script,
        };
        self.structure = Some((part, versions));
    }

    /// Returns what the directory holds.
    ///
    /// # Errors
    /// All problems in one text.
    pub(super) fn into_files(mut self) -> Result<Files, String> {
        let order = self.order();
        self.check_journal();
        let (mut ups, mut downs) = (BTreeMap::new(), BTreeMap::new());
        let mut baselines = BTreeMap::new();
        for part in mem::take(&mut self.parts) {
            let text = match order {
                Order::Names | Order::Journal(_) => &part.whole,
                _ => &part.name.version,
            };
            let version = order.version(text);
            let parts = match part.name.kind {
                NameKind::Up | NameKind::Repeatable => &mut ups,
                NameKind::Down => &mut downs,
                NameKind::Baseline => &mut baselines,
            };
            self.insert(parts, version, part);
        }
        self.check_passed_over(ups.is_empty() && baselines.is_empty());
        let migrations = self.pair(ups, downs);
        if !self.problems.is_empty() {
            return Err(self.problems.to_string());
        }
        let newest = baselines.pop_last().map(|(version, part)| Start {
            migration: migration(version, part),
            versions: None,
        });
        let start = self.structure.map(|(part, versions)| Start {
            migration: migration(order.version(&part.name.version), part),
            versions: Some(versions),
        });
        Ok(Files {
            migrations,
            order,
            start: newest.or(start),
            callbacks: self.callbacks,
        })
    }

    /// Returns the order of the tool whose directory this is. Where another order than that of the
    /// numbers makes no difference, it is that of the numbers, which know `1` and `0001` as one.
    fn order(&self) -> Order {
        let all = |layout| self.parts.iter().all(|part| part.layout == layout);
        let ups = || {
            self.parts
                .iter()
                .filter(|part| part.name.kind == NameKind::Up)
        };
        let other = match &self.journal {
            _ if self.parts.is_empty() => Order::Numbers,
            Some(tags) => Order::Journal(tags.clone()),
            None if all(Layout::Prisma) => return Order::Names,
            None if all(Layout::Diesel) => Order::Diesel,
            // atlas can keep the files of tools that have down files, in their order.
            None if self.has_atlas_sum && ups().count() == self.parts.len() => Order::FileNames,
            None if ups().any(|part| part.is_dbmate) => Order::FileNames,
            None => Order::Numbers,
        };
        let mut versions: Vec<(Version, Option<Version>)> = ups()
            .map(|part| {
                let text = match other {
                    Order::Journal(_) => &part.whole,
                    _ => &part.name.version,
                };
                (other.version(text), Version::parse(&part.name.version))
            })
            .collect();
        versions.sort();
        let is_same = versions
            .windows(2)
            .all(|pair| pair[0].0 == pair[1].0 || pair[0].1 < pair[1].1)
            && versions.iter().all(|(_, numbers)| numbers.is_some());
        if is_same { Order::Numbers } else { other }
    }

    /// Adds a part; of two parts with one version, the one for Postgres only wins.
    fn insert(&mut self, parts: &mut BTreeMap<Version, Part>, version: Version, part: Part) {
        let Some(other) = parts.get(&version) else {
            parts.insert(version, part);
            return;
        };
        match (other.name.is_for_postgres, part.name.is_for_postgres) {
            (true, false) => {}
            (false, true) => {
                parts.insert(version, part);
            }
            _ => {
                let (other, path) = (other.script.path.display(), &part.script.path);
                let file_name = file_name(path);
                let (written, after) = file_name
                    .split_once(part.name.version.as_str())
                    .unwrap_or(("", &file_name));
                let reason = format!(
                    "it has the version of `{other}`: rename the later one of the two, such as \
                     `{written}{}.1{after}`",
                    part.name.version
                );
                self.problems.add(Problem::of(path, reason));
            }
        }
    }

    /// Finds the differences between drizzle's journal and the files.
    fn check_journal(&mut self) {
        let Some(tags) = &self.journal else {
            return;
        };
        let files = || {
            self.parts
                .iter()
                .filter(|part| part.name.kind == NameKind::Up)
        };
        let journal = Path::new("meta/_journal.json");
        for tag in tags
            .iter()
            .filter(|tag| !files().any(|part| part.whole == **tag))
        {
            let reason = format!("`{tag}.sql` is in it, and is missing");
            self.problems.add(Problem::of(journal, reason));
        }
        for part in files().filter(|part| !tags.contains(&part.whole)) {
            let reason = "meta/_journal.json does not have it, so drizzle does not run it: add it \
                          there, or delete it";
            self.problems.add(Problem::of(&part.script.path, reason));
        }
    }

    /// Refuses a directory that has no migration, and folders with files of SQL.
    fn check_passed_over(&mut self, has_none: bool) {
        if has_none && self.structure.is_none() && self.problems.is_empty() {
            for path in mem::take(&mut self.passed_over) {
                let reason = "the directory has no migration, and this folder has files of SQL: set \
                              MIGRATIONS_DIR to the folder of the migrations";
                self.problems.add(Problem::of(&path, reason));
            }
        }
    }

    /// Makes the migrations, with the down scripts paired with them by version.
    fn pair(
        &mut self,
        ups: BTreeMap<Version, Part>,
        downs: BTreeMap<Version, Part>,
    ) -> Vec<Migration> {
        let ups = ups.into_iter().map(|(version, part)| {
            let migration = migration(version.clone(), part);
            (version, migration)
        });
        let mut ups: BTreeMap<Version, Migration> = ups.collect();
        let mut unpaired = Vec::new();
        for (version, part) in downs {
            match ups.get_mut(&version) {
                Some(migration) => migration.down = Some(part.script),
                None => unpaired.push(part),
            }
        }
        for part in unpaired {
            // Published histories have pairs of which one file has a mistyped version. They are
            // paired by name, if only one migration without a down script has that name.
            let name = &part.name.name;
            let mut same_name = ups
                .values_mut()
                .filter(|up| up.down.is_none() && up.name == *name && !name.is_empty());
            match (same_name.next(), same_name.next()) {
                (Some(migration), None) => migration.down = Some(part.script),
                _ => {
                    let reason = "it takes back what no file applies";
                    self.problems.add(Problem::of(&part.script.path, reason));
                }
            }
        }
        ups.into_values().collect()
    }
}

fn migration(version: Version, part: Part) -> Migration {
    Migration {
        version,
        name: part.name.name,
        up: part.script,
        down: None,
        built_in: false,
        covers: Vec::new(),
    }
}

/// Returns the name of a file that has no version, and a place in drizzle's journal.
fn named_by_journal(stem: &str) -> Name {
    Name {
        version: stem.to_string(),
        name: stem.to_string(),
        kind: NameKind::Up,
        is_for_postgres: false,
        transaction: true,
    }
}

/// Lists the entries of a directory that are not hidden, sorted by name.
fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !file_name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Returns whether a directory, or one below it, has a file of SQL.
fn has_sql(dir: &Path, depth: usize) -> bool {
    let entries = entries(dir).unwrap_or_default();
    entries.iter().any(|path| match path.is_dir() {
        true => depth > 0 && has_sql(path, depth - 1),
        false => path.extension().is_some_and(|extension| extension == "sql"),
    })
}

fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}
