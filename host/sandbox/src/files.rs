//! `wasi:filesystem` 0.2 over a view.
//!
//! Invariant: every path goes to the view, whose gate decides; nothing here opens a file
//! of the host by itself, and a write on a reading view ends in `read-only`.

use std::time::{Duration, SystemTime};

use idumb_overlay::{
    DirEntry, FileHandle, FsError, Kind, NodeId, OpenFlags, Opened, Stat, WorkView,
};
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError as WasiError, FsResult};

use crate::guest::Files;
use crate::host_error::HostError;
use crate::streams::{FileTrouble, Input, Output};

/// The most bytes that one `read` gives.
const MAX_READ: u64 = 1 << 20;

/// Links the file system with [`FileHost`] as its host.
pub(crate) struct FileSystem;

impl HasData for FileSystem {
    type Data<'a> = FileHost<'a>;
}

/// The file system's part of a guest's state.
pub(crate) struct FileHost<'a> {
    pub(crate) files: &'a Files,
    pub(crate) host_error: &'a HostError,
    pub(crate) table: &'a mut ResourceTable,
}

/// What stands behind a guest's `descriptor`.
#[derive(Clone)]
enum Node {
    Dir(NodeId),
    File(FileHandle),
}

/// What stands behind a guest's `directory-entry-stream`.
struct Listing(std::vec::IntoIter<DirEntry>);

type Descriptor = Resource<types::Descriptor>;

pub(crate) fn code(error: &FsError) -> types::ErrorCode {
    use types::ErrorCode as Code;
    match error {
        FsError::Access => Code::Access,
        FsError::BadDescriptor => Code::BadDescriptor,
        FsError::Busy => Code::Busy,
        FsError::CrossDevice => Code::CrossDevice,
        FsError::Exist => Code::Exist,
        FsError::FileTooLarge => Code::FileTooLarge,
        FsError::InsufficientSpace => Code::InsufficientSpace,
        FsError::Invalid => Code::Invalid,
        FsError::Io(_) => Code::Io,
        FsError::IsDirectory => Code::IsDirectory,
        FsError::Loop => Code::Loop,
        FsError::NameTooLong => Code::NameTooLong,
        FsError::NoEntry => Code::NoEntry,
        FsError::NotDirectory => Code::NotDirectory,
        FsError::NotEmpty => Code::NotEmpty,
        FsError::NotPermitted => Code::NotPermitted,
        FsError::Overflow => Code::Overflow,
        FsError::Quota => Code::Quota,
        FsError::ReadOnly => Code::ReadOnly,
        FsError::TooManyLinks => Code::TooManyLinks,
        FsError::Unsupported => Code::Unsupported,
    }
}

fn descriptor_type(kind: Kind) -> types::DescriptorType {
    match kind {
        Kind::File => types::DescriptorType::RegularFile,
        Kind::Dir => types::DescriptorType::Directory,
        Kind::Symlink => types::DescriptorType::SymbolicLink,
        Kind::Other => types::DescriptorType::Unknown,
    }
}

fn datetime(time: SystemTime) -> Option<Datetime> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() })
}

fn descriptor_stat(stat: &Stat) -> types::DescriptorStat {
    types::DescriptorStat {
        type_: descriptor_type(stat.kind),
        link_count: stat.nlink,
        size: stat.size,
        data_access_timestamp: stat.accessed.and_then(datetime),
        data_modification_timestamp: stat.modified.and_then(datetime),
        status_change_timestamp: stat.changed.and_then(datetime),
    }
}

/// A time to set; `None`: leave it.
fn new_time(time: types::NewTimestamp) -> FsResult<Option<SystemTime>> {
    match time {
        types::NewTimestamp::NoChange => Ok(None),
        types::NewTimestamp::Now => Ok(Some(SystemTime::now())),
        types::NewTimestamp::Timestamp(time) => {
            let extra = u64::from(time.nanoseconds / 1_000_000_000);
            let seconds = time.seconds.checked_add(extra);
            let since = seconds.map(|s| Duration::new(s, time.nanoseconds % 1_000_000_000));
            let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
            Ok(Some(time.ok_or(types::ErrorCode::Overflow)?))
        }
    }
}

/// Identity and version of a thing, as two numbers.
fn metadata_hash(stat: &Stat) -> types::MetadataHashValue {
    let modified = stat.modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let modified = modified.map_or(0, |since| since.as_nanos() as u64);
    // One round of a multiplicative mix keeps size and time apart.
    let upper = (modified ^ stat.size.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    types::MetadataHashValue { lower: stat.id, upper }
}

fn follows(flags: types::PathFlags) -> bool {
    flags.contains(types::PathFlags::SYMLINK_FOLLOW)
}

impl FileHost<'_> {
    /// The guest's answer for an error, after a note if it is the host's own.
    fn refused(&self, error: FsError) -> WasiError {
        let code = code(&error);
        self.host_error.note(error);
        code.into()
    }

    fn node(&self, fd: &Descriptor) -> FsResult<&Node> {
        let key: Resource<Node> = Resource::new_borrow(fd.rep());
        Ok(self.table.get(&key)?)
    }

    fn dir(&self, fd: &Descriptor) -> FsResult<NodeId> {
        match self.node(fd)? {
            Node::Dir(dir) => Ok(*dir),
            Node::File(_) => Err(types::ErrorCode::NotDirectory.into()),
        }
    }

    fn file(&self, fd: &Descriptor) -> FsResult<&FileHandle> {
        match self.node(fd)? {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(types::ErrorCode::BadDescriptor.into()),
        }
    }

    fn push(&mut self, node: Node) -> FsResult<Descriptor> {
        let key = self.table.push(node)?;
        Ok(Resource::new_own(key.rep()))
    }

    /// The view with the write path, where there is one; else the refusal is recorded.
    fn work(&self, operation: &'static str, dir: NodeId, path: &str) -> FsResult<&WorkView> {
        match self.files {
            Files::Work(view) => Ok(view),
            Files::Read(view) => Err(self.refused(view.refuse_write(operation, dir, path))),
        }
    }

    fn stat_of(&self, fd: &Descriptor) -> FsResult<Stat> {
        match self.node(fd)? {
            Node::Dir(dir) => self.files.view().stat_node(*dir),
            Node::File(file) => file.stat(),
        }
        .map_err(|error| self.refused(error))
    }
}

impl preopens::Host for FileHost<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Descriptor, String)>> {
        let root = self.files.view().root();
        let key = self.table.push(Node::Dir(root))?;
        Ok(vec![(Resource::new_own(key.rep()), ".".to_owned())])
    }
}

impl types::Host for FileHost<'_> {
    fn convert_error_code(&mut self, error: WasiError) -> wasmtime::Result<types::ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<types::ErrorCode>> {
        let error = self.table.get(&error)?;
        Ok(error.downcast_ref::<FileTrouble>().map(|trouble| trouble.0))
    }
}

impl types::HostDescriptor for FileHost<'_> {
    async fn advise(&mut self, fd: Descriptor, _: u64, _: u64, _: types::Advice) -> FsResult<()> {
        self.file(&fd).map(drop)
    }

    async fn sync_data(&mut self, fd: Descriptor) -> FsResult<()> {
        self.sync(fd).await
    }

    async fn get_flags(&mut self, fd: Descriptor) -> FsResult<types::DescriptorFlags> {
        use types::DescriptorFlags as Flags;
        let writes = matches!(self.files, Files::Work(_));
        let flags = match self.node(&fd)? {
            Node::File(file) => [(Flags::READ, file.reads()), (Flags::WRITE, file.writes())],
            Node::Dir(_) => [(Flags::READ, true), (Flags::MUTATE_DIRECTORY, writes)],
        };
        let held = flags.into_iter().filter(|(_, held)| *held);
        let flags = held.fold(Flags::empty(), |all, (flag, _)| all | flag);
        Ok(flags)
    }

    async fn get_type(&mut self, fd: Descriptor) -> FsResult<types::DescriptorType> {
        Ok(match self.node(&fd)? {
            Node::Dir(_) => types::DescriptorType::Directory,
            Node::File(_) => types::DescriptorType::RegularFile,
        })
    }

    async fn set_size(&mut self, fd: Descriptor, size: u64) -> FsResult<()> {
        self.file(&fd)?.set_len(size).map_err(|error| self.refused(error))
    }

    async fn set_times(
        &mut self,
        fd: Descriptor,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FsResult<()> {
        let (accessed, modified) = (new_time(accessed)?, new_time(modified)?);
        match self.node(&fd)? {
            Node::File(file) => file.set_times(accessed, modified).map_err(|error| self.refused(error)),
            Node::Dir(dir) => {
                let work = self.work("set-times", *dir, ".")?;
                work.set_times_node(*dir, accessed, modified).map_err(|error| self.refused(error))
            }
        }
    }

    async fn read(&mut self, fd: Descriptor, len: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        let mut buffer = vec![0; len.min(MAX_READ) as usize];
        let read = self.file(&fd)?.read_at(&mut buffer, offset).map_err(|error| self.refused(error))?;
        buffer.truncate(read);
        Ok((buffer, read == 0 && len > 0))
    }

    async fn write(&mut self, fd: Descriptor, buffer: Vec<u8>, offset: u64) -> FsResult<u64> {
        let written = self.file(&fd)?.write_at(&buffer, offset).map_err(|error| self.refused(error))?;
        Ok(written as u64)
    }

    async fn read_directory(
        &mut self,
        fd: Descriptor,
    ) -> FsResult<Resource<types::DirectoryEntryStream>> {
        let entries = self.files.view().read_dir(self.dir(&fd)?).map_err(|error| self.refused(error))?;
        let key = self.table.push(Listing(entries.into_iter()))?;
        Ok(Resource::new_own(key.rep()))
    }

    async fn sync(&mut self, fd: Descriptor) -> FsResult<()> {
        match self.node(&fd)? {
            Node::File(file) => file.sync().map_err(|error| self.refused(error)),
            Node::Dir(_) => Ok(()),
        }
    }

    async fn create_directory_at(&mut self, fd: Descriptor, path: String) -> FsResult<()> {
        let dir = self.dir(&fd)?;
        self.work("mkdir", dir, &path)?.mkdir(dir, &path).map_err(|error| self.refused(error))
    }

    async fn stat(&mut self, fd: Descriptor) -> FsResult<types::DescriptorStat> {
        Ok(descriptor_stat(&self.stat_of(&fd)?))
    }

    async fn stat_at(
        &mut self,
        fd: Descriptor,
        flags: types::PathFlags,
        path: String,
    ) -> FsResult<types::DescriptorStat> {
        let stat = self.files.view().stat(self.dir(&fd)?, &path, follows(flags));
        Ok(descriptor_stat(&stat.map_err(|error| self.refused(error))?))
    }

    async fn set_times_at(
        &mut self,
        fd: Descriptor,
        flags: types::PathFlags,
        path: String,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FsResult<()> {
        let (accessed, modified) = (new_time(accessed)?, new_time(modified)?);
        let dir = self.dir(&fd)?;
        let work = self.work("set-times", dir, &path)?;
        work.set_times(dir, &path, follows(flags), accessed, modified).map_err(|error| self.refused(error))
    }

    async fn link_at(
        &mut self,
        fd: Descriptor,
        flags: types::PathFlags,
        old: String,
        new_fd: Descriptor,
        new: String,
    ) -> FsResult<()> {
        let (dir, new_dir) = (self.dir(&fd)?, self.dir(&new_fd)?);
        let work = self.work("link", new_dir, &new)?;
        work.link(dir, &old, follows(flags), new_dir, &new).map_err(|error| self.refused(error))
    }

    async fn open_at(
        &mut self,
        fd: Descriptor,
        path_flags: types::PathFlags,
        path: String,
        open: types::OpenFlags,
        flags: types::DescriptorFlags,
    ) -> FsResult<Descriptor> {
        let dir = self.dir(&fd)?;
        let wanted = OpenFlags {
            read: flags.contains(types::DescriptorFlags::READ),
            write: flags.contains(types::DescriptorFlags::WRITE),
            create: open.contains(types::OpenFlags::CREATE),
            exclusive: open.contains(types::OpenFlags::EXCLUSIVE),
            truncate: open.contains(types::OpenFlags::TRUNCATE),
            directory: open.contains(types::OpenFlags::DIRECTORY),
        };
        let follow = follows(path_flags);
        let opened = match self.files {
            Files::Read(view) => view.open(dir, &path, follow, wanted),
            Files::Work(view) => view.open(dir, &path, follow, wanted),
        };
        let node = match opened.map_err(|error| self.refused(error))? {
            Opened::Dir(dir) => Node::Dir(dir),
            Opened::File(file) => Node::File(file),
        };
        self.push(node)
    }

    fn drop(&mut self, fd: Descriptor) -> wasmtime::Result<()> {
        let key: Resource<Node> = Resource::new_own(fd.rep());
        self.table.delete(key)?;
        Ok(())
    }

    async fn readlink_at(&mut self, fd: Descriptor, path: String) -> FsResult<String> {
        self.files.view().read_link(self.dir(&fd)?, &path).map_err(|error| self.refused(error))
    }

    async fn remove_directory_at(&mut self, fd: Descriptor, path: String) -> FsResult<()> {
        let dir = self.dir(&fd)?;
        self.work("rmdir", dir, &path)?.rmdir(dir, &path).map_err(|error| self.refused(error))
    }

    async fn rename_at(
        &mut self,
        fd: Descriptor,
        old: String,
        new_fd: Descriptor,
        new: String,
    ) -> FsResult<()> {
        let (dir, new_dir) = (self.dir(&fd)?, self.dir(&new_fd)?);
        self.work("rename", dir, &old)?.rename(dir, &old, new_dir, &new).map_err(|error| self.refused(error))
    }

    async fn symlink_at(&mut self, fd: Descriptor, old: String, new: String) -> FsResult<()> {
        let dir = self.dir(&fd)?;
        self.work("symlink", dir, &new)?.symlink(&old, dir, &new).map_err(|error| self.refused(error))
    }

    async fn unlink_file_at(&mut self, fd: Descriptor, path: String) -> FsResult<()> {
        let dir = self.dir(&fd)?;
        self.work("unlink", dir, &path)?.unlink(dir, &path).map_err(|error| self.refused(error))
    }

    fn read_via_stream(
        &mut self,
        fd: Descriptor,
        offset: u64,
    ) -> FsResult<Resource<DynInputStream>> {
        let file = match self.node(&fd)? {
            Node::File(file) if file.reads() => file.clone(),
            Node::File(_) => return Err(types::ErrorCode::BadDescriptor.into()),
            Node::Dir(_) => return Err(types::ErrorCode::IsDirectory.into()),
        };
        let stream: DynInputStream = Box::new(Input { file, position: offset, host_error: self.host_error.clone() });
        Ok(self.table.push(stream)?)
    }

    fn write_via_stream(
        &mut self,
        fd: Descriptor,
        offset: u64,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.output(&fd, Some(offset))
    }

    fn append_via_stream(&mut self, fd: Descriptor) -> FsResult<Resource<DynOutputStream>> {
        self.output(&fd, None)
    }

    async fn is_same_object(&mut self, a: Descriptor, b: Descriptor) -> wasmtime::Result<bool> {
        match (self.stat_of(&a), self.stat_of(&b)) {
            (Ok(a), Ok(b)) => Ok(a.id == b.id),
            _ => Ok(false),
        }
    }

    async fn metadata_hash(&mut self, fd: Descriptor) -> FsResult<types::MetadataHashValue> {
        Ok(metadata_hash(&self.stat_of(&fd)?))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Descriptor,
        flags: types::PathFlags,
        path: String,
    ) -> FsResult<types::MetadataHashValue> {
        let stat = self.files.view().stat(self.dir(&fd)?, &path, follows(flags));
        Ok(metadata_hash(&stat.map_err(|error| self.refused(error))?))
    }
}

impl FileHost<'_> {
    fn output(
        &mut self,
        fd: &Descriptor,
        position: Option<u64>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let file = self.file(fd)?;
        if !file.writes() {
            return Err(types::ErrorCode::NotPermitted.into());
        }
        let stream: DynOutputStream = Box::new(Output { file: file.clone(), position, host_error: self.host_error.clone() });
        Ok(self.table.push(stream)?)
    }
}

impl types::HostDirectoryEntryStream for FileHost<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<types::DirectoryEntryStream>,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        let key: Resource<Listing> = Resource::new_borrow(stream.rep());
        let entry = self.table.get_mut(&key)?.0.next();
        Ok(entry.map(|entry| types::DirectoryEntry {
            type_: descriptor_type(entry.kind),
            name: entry.name,
        }))
    }

    fn drop(&mut self, stream: Resource<types::DirectoryEntryStream>) -> wasmtime::Result<()> {
        let key: Resource<Listing> = Resource::new_own(stream.rep());
        self.table.delete(key)?;
        Ok(())
    }
}
