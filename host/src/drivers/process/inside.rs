//! A driver's process, from within: the command `regent driver-process`.
//!
//! What it needs is where standard streams usually are: a socket to the agent as standard input, the library's sealed memory
//! as standard output, a pipe for what is printed as standard error.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;

use regent_isolation::{Connect, serve};
use regent_plugin_api::DynDriver;
use regent_plugin_api::load::{SealedLibrary, load_sealed};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use rustix::stdio::{dup2_stdin, dup2_stdout};
use rustix::thread::set_no_new_privs;
use tokio::net::UnixStream;

use super::confine::{Confined, confine};

/// The capability of a driver that reads files.
const FILES: &str = "files";

/// Serves the library until the agent needs it no more. To be called in a runtime of this thread alone: where there are others
/// they are not confined.
///
/// # Errors
/// It was not started by an agent, or the agent broke the rules of the connection.
pub(crate) async fn run(memory_bytes: Option<u64>) -> io::Result<()> {
    // With the agent gone there is nobody to serve. A driver that hangs would not notice by itself.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    set_no_new_privs(true)?;
    // What is in memory are credentials.
    setrlimit(Resource::Core, none_beyond(0))?;
    if let Some(bytes) = memory_bytes {
        setrlimit(Resource::Data, none_beyond(bytes))?;
    }
    let (stream, memory) = taken()?;
    let stream = UnixStream::from_std(stream)?;
    serve(stream, || loaded(memory)).await.map_err(io::Error::other)
}

fn none_beyond(most: u64) -> Rlimit {
    Rlimit { current: Some(most), maximum: Some(most) }
}

/// The socket and the memory, and in their places what a driver expects there.
fn taken() -> io::Result<(StdUnixStream, OwnedFd)> {
    let stream = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let memory = io::stdout().as_fd().try_clone_to_owned()?;
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(io::stderr())?;
    // Fails for what is no socket: this was not started by an agent.
    stream.peer_addr()?;
    stream.set_nonblocking(true)?;
    Ok((stream, memory))
}

/// Confines this process, and then loads the library: its initializers run.
fn loaded(memory: OwnedFd) -> Result<Connect, String> {
    let library = SealedLibrary::from_fd(memory).map_err(|refusal| refusal.to_string())?;
    let reads_files = library.description().capabilities.iter().any(|capability| capability == FILES);
    let confined = confine(reads_files, &std::env::temp_dir());
    match confined.map_err(|error| format!("its process can't be confined: {error}"))? {
        Confined::Fully => {}
        Confined::ButForFiles => {
            // The agent logs what is printed. Nobody reads it where that fails.
            let _ =
                writeln!(io::stderr(), "this kernel has no Landlock: the driver may use the agent's files");
        }
    }
    let library = load_sealed(library).map_err(|refusal| refusal.to_string())?;
    Ok(Box::new(move |settings, host| {
        let session = library.connect(&settings, host)?;
        Ok(Arc::new(session) as Arc<dyn DynDriver>)
    }))
}
