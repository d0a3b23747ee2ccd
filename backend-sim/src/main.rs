//! `migrate-pin`: explore the scenarios and races of the simulated machine, and say what broke.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
