//! `wasi:filesystem` 0.2 over a view.
//!
//! Invariant: every path goes to the view, whose gate decides; nothing here opens a file
//! of the host by itself, and a write on a reading view ends in `read-only`.

use idumb_overlay::{
    self as overlay, FileHandle, FsError, NodeId, OpenFlags, Opened, Stat, WorkView,
};
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError as WasiError, FsResult};

use crate::filewire::{code, descriptor_stat, descriptor_type, metadata_hash, new_time};
use crate::host_error::HostError;
use crate::seat::{Files, Mount};
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
    pub(crate) mounts: &'a [Mount],
    pub(crate) host_error: &'a HostError,
    pub(crate) table: &'a mut ResourceTable,
}

/// What stands behind a guest's `descriptor`.
#[derive(Clone)]
struct Node {
    /// Its place among the mounts.
    mount: usize,
    what: Open,
}

#[derive(Clone)]
enum Open {
    Dir {
        dir: NodeId,
        /// Whether it was opened to change what is in it; only told, the view decides.
        mutate: bool,
    },
    File(FileHandle),
}

/// A directory that an operation starts from.
#[derive(Clone, Copy)]
struct Start<'a> {
    mount: usize,
    files: &'a Files,
    dir: NodeId,
}

/// What stands behind a guest's `directory-entry-stream`.
struct Listing(overlay::Listing);

type Descriptor = Resource<types::Descriptor>;

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

    fn dir(&self, fd: &Descriptor) -> FsResult<Start<'_>> {
        let Node { mount, what: Open::Dir { dir, .. } } = self.node(fd)? else {
            return Err(types::ErrorCode::NotDirectory.into());
        };
        Ok(Start { mount: *mount, files: &self.mounts[*mount].files, dir: *dir })
    }

    /// Two directories for one operation, which cannot go from one mount to another.
    fn dirs(&self, one: &Descriptor, other: &Descriptor) -> FsResult<(Start<'_>, Start<'_>)> {
        let (one, other) = (self.dir(one)?, self.dir(other)?);
        if one.mount != other.mount {
            return Err(types::ErrorCode::CrossDevice.into());
        }
        Ok((one, other))
    }

    fn file(&self, fd: &Descriptor) -> FsResult<&FileHandle> {
        match &self.node(fd)?.what {
            Open::File(file) => Ok(file),
            Open::Dir { .. } => Err(types::ErrorCode::BadDescriptor.into()),
        }
    }

    fn push(&mut self, node: Node) -> FsResult<Descriptor> {
        let key = self.table.push(node)?;
        Ok(Resource::new_own(key.rep()))
    }

    /// The view with the write path, where there is one; else the refusal is recorded.
    fn work<'a>(
        &self,
        operation: &'static str,
        start: Start<'a>,
        path: &str,
    ) -> FsResult<&'a WorkView> {
        match start.files {
            Files::Work(view) => Ok(view),
            Files::Read(view) => Err(self.refused(view.refuse_write(operation, start.dir, path))),
        }
    }

    fn stat_of(&self, fd: &Descriptor) -> FsResult<(usize, Stat)> {
        let node = self.node(fd)?;
        let stat = match &node.what {
            Open::Dir { dir, .. } => self.mounts[node.mount].files.view().stat_node(*dir),
            Open::File(file) => file.stat(),
        };
        Ok((node.mount, stat.map_err(|error| self.refused(error))?))
    }

    fn stat_at_path(
        &self,
        fd: &Descriptor,
        flags: types::PathFlags,
        path: &str,
    ) -> FsResult<(usize, Stat)> {
        let start = self.dir(fd)?;
        let stat = start.files.view().stat(start.dir, path, follows(flags));
        Ok((start.mount, stat.map_err(|error| self.refused(error))?))
    }
}

impl preopens::Host for FileHost<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Descriptor, String)>> {
        let mut directories = Vec::new();
        for (mount, Mount { name, files }) in self.mounts.iter().enumerate() {
            let (dir, mutate) = (files.view().root(), matches!(files, Files::Work(_)));
            let what = Open::Dir { dir, mutate };
            let key = self.table.push(Node { mount, what })?;
            directories.push((Resource::new_own(key.rep()), name.clone()));
        }
        Ok(directories)
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
        let flags = match &self.node(&fd)?.what {
            Open::File(file) => [(Flags::READ, file.reads()), (Flags::WRITE, file.writes())],
            Open::Dir { mutate, .. } => [(Flags::READ, true), (Flags::MUTATE_DIRECTORY, *mutate)],
        };
        let held = flags.into_iter().filter(|(_, held)| *held);
        let flags = held.fold(Flags::empty(), |all, (flag, _)| all | flag);
        Ok(flags)
    }

    async fn get_type(&mut self, fd: Descriptor) -> FsResult<types::DescriptorType> {
        Ok(match self.node(&fd)?.what {
            Open::Dir { .. } => types::DescriptorType::Directory,
            Open::File(_) => types::DescriptorType::RegularFile,
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
        let set = match &self.node(&fd)?.what {
            Open::File(file) => file.set_times(accessed, modified),
            Open::Dir { .. } => {
                let start = self.dir(&fd)?;
                let work = self.work("set-times", start, ".")?;
                work.set_times_node(start.dir, accessed, modified)
            }
        };
        set.map_err(|error| self.refused(error))
    }

    async fn read(&mut self, fd: Descriptor, len: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        let mut buffer = vec![0; len.min(MAX_READ) as usize];
        let read =
            self.file(&fd)?.read_at(&mut buffer, offset).map_err(|error| self.refused(error))?;
        buffer.truncate(read);
        Ok((buffer, read == 0 && len > 0))
    }

    async fn write(&mut self, fd: Descriptor, buffer: Vec<u8>, offset: u64) -> FsResult<u64> {
        let written =
            self.file(&fd)?.write_at(&buffer, offset).map_err(|error| self.refused(error))?;
        Ok(written as u64)
    }

    async fn read_directory(
        &mut self,
        fd: Descriptor,
    ) -> FsResult<Resource<types::DirectoryEntryStream>> {
        let start = self.dir(&fd)?;
        let entries = start.files.view().read_dir(start.dir);
        let entries = entries.map_err(|error| self.refused(error))?;
        let key = self.table.push(Listing(entries))?;
        Ok(Resource::new_own(key.rep()))
    }

    async fn sync(&mut self, fd: Descriptor) -> FsResult<()> {
        match &self.node(&fd)?.what {
            Open::File(file) => file.sync().map_err(|error| self.refused(error)),
            Open::Dir { .. } => Ok(()),
        }
    }

    async fn create_directory_at(&mut self, fd: Descriptor, path: String) -> FsResult<()> {
        let start = self.dir(&fd)?;
        let made = self.work("mkdir", start, &path)?.mkdir(start.dir, &path);
        made.map_err(|error| self.refused(error))
    }

    async fn stat(&mut self, fd: Descriptor) -> FsResult<types::DescriptorStat> {
        Ok(descriptor_stat(&self.stat_of(&fd)?.1))
    }

    async fn stat_at(
        &mut self,
        fd: Descriptor,
        flags: types::PathFlags,
        path: String,
    ) -> FsResult<types::DescriptorStat> {
        Ok(descriptor_stat(&self.stat_at_path(&fd, flags, &path)?.1))
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
        let start = self.dir(&fd)?;
        let work = self.work("set-times", start, &path)?;
        let set = work.set_times(start.dir, &path, follows(flags), accessed, modified);
        set.map_err(|error| self.refused(error))
    }

    async fn link_at(
        &mut self,
        fd: Descriptor,
        flags: types::PathFlags,
        old: String,
        new_fd: Descriptor,
        new: String,
    ) -> FsResult<()> {
        let (from, to) = self.dirs(&fd, &new_fd)?;
        let work = self.work("link", to, &new)?;
        let linked = work.link(from.dir, &old, follows(flags), to.dir, &new);
        linked.map_err(|error| self.refused(error))
    }

    async fn open_at(
        &mut self,
        fd: Descriptor,
        path_flags: types::PathFlags,
        path: String,
        open: types::OpenFlags,
        flags: types::DescriptorFlags,
    ) -> FsResult<Descriptor> {
        let start = self.dir(&fd)?;
        let write = flags.contains(types::DescriptorFlags::WRITE);
        let wanted = OpenFlags {
            // Who asks for nothing reads, as with `open` on Linux.
            read: flags.contains(types::DescriptorFlags::READ) || !write,
            write,
            create: open.contains(types::OpenFlags::CREATE),
            exclusive: open.contains(types::OpenFlags::EXCLUSIVE),
            truncate: open.contains(types::OpenFlags::TRUNCATE),
            directory: open.contains(types::OpenFlags::DIRECTORY),
        };
        let follow = follows(path_flags);
        let opened = match start.files {
            Files::Read(view) => view.open(start.dir, &path, follow, wanted),
            Files::Work(view) => view.open(start.dir, &path, follow, wanted),
        };
        let what = match opened.map_err(|error| self.refused(error))? {
            Opened::Dir(dir) => {
                Open::Dir { dir, mutate: flags.contains(types::DescriptorFlags::MUTATE_DIRECTORY) }
            }
            Opened::File(file) => Open::File(file),
        };
        let mount = start.mount;
        self.push(Node { mount, what })
    }

    fn drop(&mut self, fd: Descriptor) -> wasmtime::Result<()> {
        let key: Resource<Node> = Resource::new_own(fd.rep());
        self.table.delete(key)?;
        Ok(())
    }

    async fn readlink_at(&mut self, fd: Descriptor, path: String) -> FsResult<String> {
        let start = self.dir(&fd)?;
        let target = start.files.view().read_link(start.dir, &path);
        target.map_err(|error| self.refused(error))
    }

    async fn remove_directory_at(&mut self, fd: Descriptor, path: String) -> FsResult<()> {
        let start = self.dir(&fd)?;
        let removed = self.work("rmdir", start, &path)?.rmdir(start.dir, &path);
        removed.map_err(|error| self.refused(error))
    }

    async fn rename_at(
        &mut self,
        fd: Descriptor,
        old: String,
        new_fd: Descriptor,
        new: String,
    ) -> FsResult<()> {
        let (from, to) = self.dirs(&fd, &new_fd)?;
        let renamed = self.work("rename", from, &old)?.rename(from.dir, &old, to.dir, &new);
        renamed.map_err(|error| self.refused(error))
    }

    async fn symlink_at(&mut self, fd: Descriptor, old: String, new: String) -> FsResult<()> {
        let start = self.dir(&fd)?;
        let made = self.work("symlink", start, &new)?.symlink(&old, start.dir, &new);
        made.map_err(|error| self.refused(error))
    }

    async fn unlink_file_at(&mut self, fd: Descriptor, path: String) -> FsResult<()> {
        let start = self.dir(&fd)?;
        let removed = self.work("unlink", start, &path)?.unlink(start.dir, &path);
        removed.map_err(|error| self.refused(error))
    }

    fn read_via_stream(
        &mut self,
        fd: Descriptor,
        offset: u64,
    ) -> FsResult<Resource<DynInputStream>> {
        let file = match &self.node(&fd)?.what {
            Open::File(file) if file.reads() => file.clone(),
            Open::File(_) => return Err(types::ErrorCode::BadDescriptor.into()),
            Open::Dir { .. } => return Err(types::ErrorCode::IsDirectory.into()),
        };
        let stream: DynInputStream =
            Box::new(Input { file, position: offset, host_error: self.host_error.clone() });
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
            (Ok((mount, a)), Ok((other, b))) => Ok(mount == other && a.id == b.id),
            _ => Ok(false),
        }
    }

    async fn metadata_hash(&mut self, fd: Descriptor) -> FsResult<types::MetadataHashValue> {
        let (mount, stat) = self.stat_of(&fd)?;
        Ok(metadata_hash(mount, &stat))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Descriptor,
        flags: types::PathFlags,
        path: String,
    ) -> FsResult<types::MetadataHashValue> {
        let (mount, stat) = self.stat_at_path(&fd, flags, &path)?;
        Ok(metadata_hash(mount, &stat))
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
            return Err(types::ErrorCode::BadDescriptor.into());
        }
        let stream: DynOutputStream =
            Box::new(Output { file: file.clone(), position, host_error: self.host_error.clone() });
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
