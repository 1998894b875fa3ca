//! The command line. Data goes to standard output, everything else to standard error.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use regent_oci::{Platform, RepositoryName};
use url::Url;

mod connection;
mod demo;
mod docker_config;
mod doctor;
mod drivers;
mod failure;
mod image;
mod inspect;
mod list;
mod operations;
mod output;
mod parts;
mod progress;
mod pull;
mod scan;
mod tags;

pub use failure::Failure;

use crate::jobs::OperationId;
use crate::serve::Parent;

/// A container-registry agent: lists, inspects and scans images of registries inside your network.
#[derive(Debug, Parser)]
#[command(
    name = "regent",
    version,
    disable_help_subcommand = true,
    after_help = "Settings come from environment variables; docs/operating.md lists them all.\n\n\
        Exit codes: 0 done, 1 failed, 2 usage, 3 authentication, 4 not found, 5 registry unavailable, 6 driver \
        refused, 7 limit exceeded."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent: serve the requests of a Broker Client (the default).
    Serve {
        /// The process is a child of the one that starts it anew, and notes here which drivers run.
        #[arg(long, value_name = "FILE", hide = true)]
        running_drivers: Option<PathBuf>,
        /// Where it tells of a crash: a pipe that it has inherited.
        #[arg(long, value_name = "NUMBER", hide = true, requires = "running_drivers")]
        crash_pipe: Option<i32>,
    },
    /// The process of one driver; an agent starts it.
    #[command(hide = true)]
    DriverProcess {
        /// The driver, for whoever looks at processes.
        driver: String,
        /// The most memory for data.
        #[arg(long)]
        memory_bytes: Option<u64>,
    },
    /// Show the main job on a sample image: no registry, broker or network needed.
    Demo,
    /// List the repositories of a registry.
    #[command(
        after_help = "Example:\n  regent list --type harbor-cr --registry harbor.example.com --username robot \
        --password-stdin < secret"
    )]
    List(RegistryArgs),
    /// List the tags of a repository.
    #[command(after_help = "Example:\n  regent tags team/app --registry registry.example.com --details")]
    Tags {
        /// The repository, without the registry's host.
        repository: RepositoryName,
        /// Show digest, last push and size of each tag, where the registry tells them.
        #[arg(long)]
        details: bool,
        #[command(flatten)]
        registry: RegistryArgs,
    },
    /// Show an image's manifest, configuration and platforms, as JSON.
    #[command(after_help = "Example:\n  regent inspect team/app:1.4 --registry registry.example.com")]
    Inspect {
        #[command(flatten)]
        image: ImageArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Scan an image and show what is in it.
    #[command(
        after_help = "Examples:\n  regent scan team/app:1.4 --registry registry.example.com\n  regent scan \
        oci-layout:./image:1.4\n  regent scan ./image.tar --format scan-result -o result.json\n  regent scan ./image.tar --format cyclonedx -o image.cdx.json"
    )]
    Scan(ScanArgs),
    /// Copy an image into a directory, as an OCI image layout with every digest verified.
    #[command(after_help = "Example:\n  regent pull team/app:1.4 --registry registry.example.com -o ./image")]
    Pull {
        #[command(flatten)]
        image: ImageArgs,
        /// The directory. It must not exist, or be empty.
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
    /// Look at the driver libraries. But for `check`, without running any code of theirs.
    Drivers {
        #[command(subcommand)]
        command: drivers::DriversCommand,
    },
    /// Look at the operations of a running agent, and decide about those whose outcome could not be delivered.
    #[command(
        after_help = "Examples:\n  regent operations list --dead-letters\n  regent operations redeliver \
        01890a5d-ac96-774b-bcce-b302099a8057 --agent http://regent:17500"
    )]
    Operations(OperationsArgs),
    /// Walk through settings, drivers and a connection step by step, and say what to mend.
    #[command(
        after_help = "Examples:\n  regent doctor\n  regent doctor --type harbor-cr --registry harbor.example.com \
        --username 'robot$scan' --password-stdin < secret\n  regent doctor --type ecr --field \
        roleArn=arn:aws:iam::123456789012:role/scan --field extra.region=eu-west-1"
    )]
    Doctor(RegistryArgs),
}

#[derive(Debug, Args)]
struct OperationsArgs {
    #[command(subcommand)]
    command: OperationsCommand,
    /// The agent; without it the one that listens on this machine at `SNYK_PORT`.
    #[arg(long, value_name = "URL", global = true, value_parser = operations::agent_url)]
    agent: Option<Url>,
}

#[derive(Debug, Subcommand)]
enum OperationsCommand {
    /// List operations, the oldest first: id, state, kind, time of acceptance, image, and what came of it.
    List {
        /// Only those whose outcome could not be delivered.
        #[arg(long)]
        dead_letters: bool,
        /// Print JSON, as the agent says it.
        #[arg(long)]
        json: bool,
    },
    /// Show one operation.
    Show {
        /// Its id.
        id: OperationId,
        /// Print JSON, as the agent says it.
        #[arg(long)]
        json: bool,
    },
    /// Deliver the outcome of dead letters again.
    Redeliver {
        /// Their ids.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<OperationId>,
    },
    /// Forget operations that have ended, and cancel those that wait or run.
    Drop {
        /// Their ids.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<OperationId>,
    },
}

/// Which registry, and with which credentials. What is not given comes from `CR_TYPE`, `CR_BASE`, `CR_USERNAME` and
/// `CR_PASSWORD`, and credentials then from `~/.docker/config.json`.
#[derive(Debug, Args)]
struct RegistryArgs {
    /// The connection type, which selects the driver; `regent drivers list` shows them.
    #[arg(long = "type", value_name = "TYPE")]
    registry_type: Option<String>,
    /// The registry.
    #[arg(long, value_name = "HOST[/PATH]")]
    registry: Option<String>,
    /// User name.
    #[arg(long)]
    username: Option<String>,
    /// Read the password, or the token where there is no user name, from the first line of standard input.
    #[arg(long)]
    password_stdin: bool,
    /// Another setting of the connection, such as `roleArn`; `regent drivers inspect` shows which there are.
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = field)]
    fields: Vec<(String, String)>,
    /// Call the registry over plain HTTP.
    #[arg(long)]
    plain_http: bool,
}

#[derive(Debug, Args)]
struct ImageArgs {
    /// `repository:tag` or `repository@digest` of the registry; `oci-layout:DIR[:TAG]`, `docker-archive:FILE`,
    /// `oci-archive:FILE`, `kaniko-archive:FILE`; or the path of an archive, whose kind is told by its content.
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Which image of an index, e.g. linux/arm64.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Debug, Args)]
struct OutputArgs {
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ScanArgs {
    #[command(flatten)]
    image: ImageArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// The form of the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The image's name in the result, `[host[:port]/]path[:tag][@digest]`. Images of a registry have one already.
    #[arg(long)]
    name: Option<String>,
    /// A JSON object with further scan options, which win over `--name` and `--platform`.
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// The release of the scanner being replaced whose results are matched.
    #[arg(long, value_enum, env = "REGENT_SCAN_COMPAT", default_value_t = Compatibility::V9_8)]
    compat: Compatibility,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// The JSON that callbacks carry.
    ScanResult,
    /// A bill of materials: CycloneDX 1.6, JSON.
    Cyclonedx,
    /// A bill of materials: SPDX 2.3, JSON.
    Spdx,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compatibility {
    #[value(name = "9.8")]
    V9_8,
    #[value(name = "9.20")]
    V9_20,
}

/// Runs the program. What is wrong is said on standard error, in one line.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command.unwrap_or(Command::Serve { running_drivers: None, crash_pipe: None })) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.is_news() {
                output::complain(&failure);
            }
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    // What serves many uses all processors. A command does one thing, whose computing has threads of its own: the bytes
    // that it moves stay on one thread then, and wake no other. A driver's process has to be confined while it has no
    // thread but this.
    let mut builder = match command {
        Command::Serve { .. } | Command::Demo => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build()?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve { running_drivers, crash_pipe } => {
                let parent = running_drivers.map(|running_drivers| Parent { running_drivers, crash_pipe });
                Box::pin(serve(parent)).await
            }
            Command::DriverProcess { memory_bytes, .. } => {
                Ok(crate::drivers::process::inside::run(memory_bytes).await?)
            }
            Command::Demo => demo::run().await,
            Command::List(registry) => list::run(&registry).await,
            Command::Tags { repository, details, registry } => {
                tags::run(&repository, details, &registry).await
            }
            Command::Inspect { image, output } => inspect::run(&image, &output).await,
            Command::Scan(arguments) => scan::run(&arguments).await,
            Command::Pull { image, output } => pull::run(&image, &output).await,
            Command::Drivers { command } => drivers::run(command).await,
            Command::Operations(arguments) => operations::run(&arguments).await,
            Command::Doctor(registry) => doctor::run(&registry).await,
        }
    });
    // A layer may still be read on a blocking thread that no one waits for any more.
    runtime.shutdown_background();
    outcome
}

fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has no = between name and value")?;
    Ok((name.to_owned(), value.to_owned()))
}

async fn serve(parent: Option<Parent>) -> Result<(), Failure> {
    let settings = parts::settings()?;
    let outcome = match parent {
        None if settings.supervised => Box::pin(crate::serve::supervise(&settings)).await,
        parent => Box::pin(crate::serve::run(settings, parent)).await.map(|()| 0),
    };
    match outcome {
        Ok(0) => Ok(()),
        // It has said why.
        Ok(code) => Err(Failure::told(code)),
        Err(error) => Err(Failure::other(error.to_string())),
    }
}
