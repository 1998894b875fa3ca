//! Files that must be complete before they are read: in memory while they are small, else in temporary files without a
//! name, for which a layer has so much room and no more.
//!
//! Room is counted for each layer by itself, so that what a capture has does not depend on other layers.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

use super::zip::Source;
use crate::limits::Limits;

/// The room of one layer for temporary files. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Scratch(Rc<Room>);

/// All in bytes, but for `spare`.
#[derive(Debug)]
struct Room {
    /// What may be written beside the files there are.
    free: Cell<u64>,
    /// What may still be written, to whichever file.
    left: Cell<u64>,
    written: Cell<u64>,
    /// The memory of a file that is gone, for the next one: asked of the system anew for each file, it would be cleared
    /// by it page by page, which costs more than what is done with the file.
    spare: RefCell<Vec<u8>>,
}

impl Scratch {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Rc::new(Room {
            free: Cell::new(limits.spooled_at_once_bytes),
            left: Cell::new(limits.spooled_layer_bytes),
            written: Cell::new(0),
            spare: RefCell::default(),
        }))
    }

    /// Whether a temporary file of that size can be written.
    pub(super) fn has_room(&self, n_bytes: u64) -> bool {
        n_bytes <= self.0.free.get().min(self.0.left.get())
    }

    /// A file that goes to the disk when it has more than that.
    pub(super) fn spool(&self, memory_bytes: usize) -> Spool {
        let place = Place::Memory(Cursor::new(if memory_bytes == 0 {
            Vec::new()
        } else {
            self.buffer(memory_bytes)
        }));
        Spool { place, memory_bytes: memory_bytes as u64, length: 0, on_disk_bytes: 0, scratch: self.clone() }
    }

    /// An empty buffer for up to so many bytes. All of them at once: what is not written to is not there, and one that grows
    /// leaves pieces of half its size behind.
    pub(super) fn buffer(&self, n_bytes: usize) -> Vec<u8> {
        let spare = self.spare();
        if spare.capacity() >= n_bytes { spare } else { Vec::with_capacity(n_bytes) }
    }

    /// What memory there is, for files of another layer.
    pub(crate) fn spare(&self) -> Vec<u8> {
        self.0.spare.take()
    }

    /// Takes a buffer back.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        let spare = self.0.spare.take();
        buffer.clear();
        self.0.spare.replace(if buffer.capacity() > spare.capacity() { buffer } else { spare });
    }

    /// All that was written to temporary files so far.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.0.written.get()
    }

    /// Takes room. False, and nothing is taken, where there is less.
    fn take(&self, n_bytes: u64) -> bool {
        let has_room = self.has_room(n_bytes);
        if has_room {
            let Room { free, left, written, .. } = &*self.0;
            free.set(free.get() - n_bytes);
            left.set(left.get() - n_bytes);
            written.set(written.get() + n_bytes);
        }
        has_room
    }
}

/// A file that is written to its end and then read at any place.
#[derive(Debug)]
pub(super) struct Spool {
    place: Place,
    memory_bytes: u64,
    length: u64,
    on_disk_bytes: u64,
    scratch: Scratch,
}

#[derive(Debug)]
enum Place {
    Memory(Cursor<Vec<u8>>),
    Disk(File),
}

impl Spool {
    /// Adds bytes at the end. False: there is no room for them, and the file is of no use any more.
    pub(super) fn append(&mut self, piece: &[u8]) -> io::Result<bool> {
        self.length += piece.len() as u64;
        if self.length > self.memory_bytes {
            // With the first bytes that don't fit, those in memory are written as well.
            if !self.scratch.take(self.length - self.on_disk_bytes) {
                return Ok(false);
            }
            self.on_disk_bytes = self.length;
            if let Place::Memory(content) = &mut self.place {
                let content = std::mem::take(content.get_mut());
                let mut file = tempfile::tempfile()?;
                file.write_all(&content)?;
                self.scratch.give_back(content);
                self.place = Place::Disk(file);
            }
        }
        match &mut self.place {
            Place::Memory(content) => content.get_mut().extend_from_slice(piece),
            Place::Disk(file) => file.write_all(piece)?,
        }
        Ok(true)
    }

    /// Bytes that it has.
    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

impl Read for Spool {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Memory(content) => content.read(buffer),
            Place::Disk(file) => file.read(buffer),
        }
    }
}

impl Seek for Spool {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.place {
            Place::Memory(content) => content.seek(to),
            Place::Disk(file) => file.seek(to),
        }
    }
}

impl Source for Spool {
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.seek(SeekFrom::Start(at))?;
        self.read(buffer)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let free = &self.scratch.0.free;
        free.set(free.get() + self.on_disk_bytes);
        if let Place::Memory(content) = &mut self.place {
            self.scratch.give_back(std::mem::take(content.get_mut()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(spooled_at_once_bytes: u64, spooled_layer_bytes: u64) -> Scratch {
        Scratch::new(&Limits { spooled_at_once_bytes, spooled_layer_bytes, ..Limits::default() })
    }

    #[test]
    fn memory_costs_no_room_and_what_was_in_memory_counts_on_the_disk() {
        let scratch = scratch(10, 100);
        let mut file = scratch.spool(4);
        assert!(file.append(b"1234").unwrap());
        assert_eq!(scratch.written_bytes(), 0);
        assert!(file.append(b"56").unwrap());
        assert_eq!(scratch.written_bytes(), 6);
        assert!(file.append(b"7890").unwrap());
        assert!(!file.append(b"1").unwrap());
        assert_eq!(scratch.written_bytes(), 10);
        let mut content = String::new();
        file.seek(SeekFrom::Start(2)).unwrap();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "34567890");
    }

    #[test]
    fn a_file_that_is_gone_gives_its_room_back_until_all_was_written_that_may_be() {
        let scratch = scratch(10, 25);
        for _ in 0..2 {
            let mut file = scratch.spool(0);
            assert!(file.append(&[0; 10]).unwrap());
            assert!(!scratch.has_room(1) && !scratch.spool(0).append(b"1").unwrap());
        }
        assert!(scratch.has_room(5) && !scratch.has_room(6));
        let mut file = scratch.spool(0);
        assert!(!file.append(&[0; 6]).unwrap());
        drop(file);
        assert!(scratch.spool(0).append(&[0; 5]).unwrap());
        assert!(!scratch.has_room(1));
        assert_eq!(scratch.written_bytes(), 25);
    }
}
