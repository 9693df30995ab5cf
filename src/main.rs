//! The `holdfast` command.

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use holdfast::error::explain;

/// A booking backend with Stripe Checkout: a seat is never sold twice, a payment is never lost.
///
/// Settings come from the environment, and from a file where one is named; .env.example lists them
/// all. `holdfast dev` needs none.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_long_help = AFTER_HELP)]
struct Arguments {
    /// A file of settings (NAME=value, a line each); what the environment has goes before it.
    ///
    /// Refused where somebody else owns it or may write to it. Without this option, only `dev`
    /// reads a file: .env of the folder it is started in.
    #[arg(long, global = true, value_name = "PATH")]
    env_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  holdfast dev
      Everything on this machine, with nothing configured: Postgres, a Stripe simulator,
      an issuer of session tokens, shows to book, and the API. Prints the addresses and
      two tokens.

  holdfast --env-file .env migrate && holdfast --env-file .env serve
      The API alone, against the database and the Stripe account that .env names.

  stripe listen --forward-to localhost:3000/api/stripe
      Stripe's own command beside `holdfast serve`: prints the STRIPE_WEBHOOK_SECRET, and
      brings the events.

Exit status: 0 on success, 1 when something failed, 2 when the arguments are wrong.";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match commands::run(&arguments.command, arguments.env_file.as_deref()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("holdfast: {}", explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
