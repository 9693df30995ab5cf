//! The `holdfast` command.

mod commands;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use holdfast::error::explain;

/// A booking backend with Stripe Checkout: a seat is never sold twice, a payment is never lost.
///
/// Settings come from the environment and from a file .env; .env.example lists them all. `holdfast
/// dev` needs none.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_long_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  holdfast dev
      Everything on this machine, with nothing configured: Postgres, a Stripe simulator,
      an issuer of session tokens, shows to book, and the API. Prints the addresses and
      two tokens.

  holdfast migrate && holdfast serve
      The API alone, against the database and the Stripe account of the environment.

  stripe listen --forward-to localhost:3000/api/stripe
      Stripe's own command beside `holdfast serve`: prints the STRIPE_WEBHOOK_SECRET, and
      brings the events.

Exit status: 0 on success, 1 when something failed, 2 when the arguments are wrong.";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match commands::run(&arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("holdfast: {}", explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
