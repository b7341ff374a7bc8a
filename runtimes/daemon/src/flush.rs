//! `metalbond flush-routes`: removes what a client has left in the kernel.

use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::Args;

use crate::install::{parse_protocol, parse_table};

#[derive(Args, Debug)]
pub(crate) struct FlushArgs {
    /// Protocol number of the routes, as for `metalbond client`
    #[arg(long, value_name = "NUMBER", value_parser = parse_protocol, allow_negative_numbers = true)]
    rt_proto: u8,
    /// Only the routes of this table, where 0 is the main table; may be given several times. Without it, those of all tables
    #[arg(long, value_name = "TABLE", value_parser = parse_table, value_delimiter = ',', allow_negative_numbers = true)]
    table: Vec<u32>,
}

/// Removes the routes and objects, and prints how many there were.
pub(crate) fn run(args: &FlushArgs) -> anyhow::Result<()> {
    let tables = (!args.table.is_empty()).then_some(&args.table[..]);
    let flushed = metalbond_linux::flush(args.rt_proto, tables).context("cannot remove routes")?;
    writeln!(io::stdout(), "removed {} routes and {} nexthop objects", flushed.routes, flushed.objects)?;
    Ok(())
}
