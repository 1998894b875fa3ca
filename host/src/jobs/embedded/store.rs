//! The file of the embedded queue: records, the ids of their requests, and the bodies of callbacks.
//!
//! Blocking. A [`Change`] is one transaction, on the disk when [`Change::commit`] returns. Pages carry checksums, which are
//! all verified when the file is opened.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, DatabaseError, ReadableTable as _, StorageBackend, StorageError, TableDefinition,
    WriteTransaction,
};

use super::super::record::Record;
use super::super::{OperationId, QueueError};

const RECORDS: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("records");
const REQUESTS: TableDefinition<'_, &str, [u8; 16]> = TableDefinition::new("requests");
const BODIES: TableDefinition<'_, ([u8; 16], u64), &[u8]> = TableDefinition::new("bodies");

/// Memory for pages, in bytes. The working set is a few records.
const CACHE_BYTES: usize = 4 << 20;

/// Where the store is.
#[derive(Clone)]
pub(super) enum Place {
    /// A file, made with mode 0600 where it is not there.
    File(PathBuf),
    /// What this makes, each time the store is opened.
    Backend(std::sync::Arc<dyn Fn() -> Box<dyn StorageBackend> + Send + Sync>),
}

/// The open file.
pub(super) struct Store {
    database: Database,
}

/// Changes that are made all together or not at all.
pub(super) struct Change {
    transaction: WriteTransaction,
}

impl Place {
    /// Opens the store, and makes it where there is none.
    ///
    /// # Errors
    /// [`QueueError::Damaged`] and [`QueueError::Unwritable`].
    pub(super) fn open(&self) -> Result<Store, QueueError> {
        // A damaged file can make the database's code panic; nothing of it is used after that.
        let opened = std::panic::catch_unwind(AssertUnwindSafe(|| self.open_database()));
        let opened = opened.unwrap_or_else(|_| {
            Err(DatabaseError::Storage(StorageError::Corrupted("its structure is broken".to_owned())))
        });
        let database = opened.map_err(|error| self.error(&error))?;
        let store = Store { database };
        let change = store.change()?;
        for made in [
            change.transaction.open_table(RECORDS).map(drop),
            change.transaction.open_table(REQUESTS).map(drop),
            change.transaction.open_table(BODIES).map(drop),
        ] {
            made.map_err(failed)?;
        }
        change.commit()?;
        Ok(store)
    }

    fn open_database(&self) -> Result<Database, DatabaseError> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        match self {
            Self::Backend(make) => builder.create_with_backend(Boxed(make())),
            Self::File(path) => {
                if !path.try_exists()? {
                    make(&builder, path)?;
                }
                // Not made here: what is there and empty is not as it was written.
                builder.open(path)
            }
        }
    }

    fn error(&self, error: &DatabaseError) -> QueueError {
        let reason = format!("{self}: {error}");
        match error {
            DatabaseError::Storage(StorageError::Io(io)) if io.kind() != io::ErrorKind::InvalidData => {
                QueueError::Unwritable { reason }
            }
            DatabaseError::DatabaseAlreadyOpen => {
                QueueError::Unwritable { reason: format!("{self}: another agent has it open") }
            }
            _ => QueueError::Damaged { reason },
        }
    }
}

/// Makes the file, readable by its owner alone. It appears as a whole, and stays when the power goes.
fn make(builder: &Builder, path: &Path) -> Result<(), DatabaseError> {
    let fresh = path.with_extension("new");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    builder.create(&fresh)?.close()?;
    std::fs::rename(&fresh, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}

impl Store {
    /// Begins changes. One at a time.
    pub(super) fn change(&self) -> Result<Change, QueueError> {
        let mut transaction = self.database.begin_write().map_err(failed)?;
        // With one phase, damage to the newest commit looks like a commit that was cut off, and would be undone in silence.
        transaction.set_two_phase_commit(true);
        Ok(Change { transaction })
    }
}

impl Change {
    /// The record of an operation.
    pub(super) fn record(&self, id: OperationId) -> Result<Record, QueueError> {
        let table = self.transaction.open_table(RECORDS).map_err(failed)?;
        let stored = table.get(id.as_bytes()).map_err(failed)?;
        Record::from_json(stored.ok_or(QueueError::Unknown { id })?.value())
    }

    /// Each record, oldest first. What can't be read is given as an error, and the rest all the same.
    pub(super) fn for_each(&self, mut see: impl FnMut(Result<Record, QueueError>)) -> Result<(), QueueError> {
        let table = self.transaction.open_table(RECORDS).map_err(failed)?;
        for entry in table.iter().map_err(failed)? {
            let (_, stored) = entry.map_err(failed)?;
            see(Record::from_json(stored.value()));
        }
        Ok(())
    }

    /// The operation that a request with this id made.
    pub(super) fn by_request(&self, request_id: &str) -> Result<Option<OperationId>, QueueError> {
        let table = self.transaction.open_table(REQUESTS).map_err(failed)?;
        let found = table.get(request_id).map_err(failed)?;
        Ok(found.map(|id| OperationId::from_bytes(id.value())))
    }

    /// Puts in a new operation.
    pub(super) fn insert(&self, record: &Record) -> Result<(), QueueError> {
        self.put(record)?;
        let Some(request_id) = &record.request_id else { return Ok(()) };
        let mut table = self.transaction.open_table(REQUESTS).map_err(failed)?;
        table.insert(request_id.as_str(), record.id.as_bytes()).map_err(failed)?;
        Ok(())
    }

    /// Puts in what an operation has become.
    pub(super) fn put(&self, record: &Record) -> Result<(), QueueError> {
        let mut table = self.transaction.open_table(RECORDS).map_err(failed)?;
        let text = record.to_json();
        table.insert(record.id.as_bytes(), text.as_slice()).map_err(failed)?;
        Ok(())
    }

    /// Takes out an operation with all that belongs to it.
    pub(super) fn remove(&self, record: &Record) -> Result<(), QueueError> {
        self.remove_bodies(record.id)?;
        let mut table = self.transaction.open_table(RECORDS).map_err(failed)?;
        table.remove(record.id.as_bytes()).map_err(failed)?;
        let Some(request_id) = &record.request_id else { return Ok(()) };
        let mut table = self.transaction.open_table(REQUESTS).map_err(failed)?;
        table.remove(request_id.as_str()).map_err(failed)?;
        Ok(())
    }

    /// Puts in the packed bodies of an operation, in place of those that are there.
    pub(super) fn put_bodies(&self, id: OperationId, bodies: &[Vec<u8>]) -> Result<(), QueueError> {
        self.remove_bodies(id)?;
        let mut table = self.transaction.open_table(BODIES).map_err(failed)?;
        for (number, body) in (0..).zip(bodies) {
            table.insert((*id.as_bytes(), number), body.as_slice()).map_err(failed)?;
        }
        Ok(())
    }

    /// Takes out the bodies of an operation.
    pub(super) fn remove_bodies(&self, id: OperationId) -> Result<(), QueueError> {
        let mut table = self.transaction.open_table(BODIES).map_err(failed)?;
        let (from, to) = ((*id.as_bytes(), 0), (*id.as_bytes(), u64::MAX));
        table.retain_in(from..=to, |_, _| false).map_err(failed)
    }

    /// The packed body of a part.
    pub(super) fn body(&self, id: OperationId, part: usize) -> Result<Vec<u8>, QueueError> {
        let table = self.transaction.open_table(BODIES).map_err(failed)?;
        let stored = table.get((*id.as_bytes(), part as u64)).map_err(failed)?;
        let missing = || QueueError::Damaged { reason: format!("operation {id}: body {part} is not there") };
        Ok(stored.ok_or_else(missing)?.value().to_vec())
    }

    /// Makes the changes. They are on the disk when this returns.
    pub(super) fn commit(self) -> Result<(), QueueError> {
        self.transaction.commit().map_err(failed)
    }

    /// Changes nothing.
    pub(super) fn abort(self) -> Result<(), QueueError> {
        self.transaction.abort().map_err(failed)
    }
}

fn failed(error: impl Into<redb::Error>) -> QueueError {
    let error = error.into();
    let reason = error.to_string();
    match error {
        redb::Error::Corrupted(_) => QueueError::Damaged { reason },
        _ => QueueError::Unwritable { reason },
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Backend(_) => f.write_str("the store"),
        }
    }
}

/// A boxed backend is none by itself.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.0.close()
    }
}
