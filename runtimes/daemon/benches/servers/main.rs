//! The program under load, beside a relay that only copies bytes: CPU time and memory of the process, and what its peers see.
//!
//! `cargo bench -p metalbond-daemon`; `-- --test` runs small rounds, `-- NAME...` only what has such a name,
//! `-- --against 'COMMAND'` another server as well (`{addr}` or `{port}` in it is where it is to listen, on 127.0.0.1),
//! `-- --plot FILE` draws the lines.

#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod fan_out;
#[cfg(target_os = "linux")]
mod figure;
#[cfg(target_os = "linux")]
mod frames;
#[cfg(target_os = "linux")]
mod hypervisors;
#[cfg(target_os = "linux")]
mod latency;
#[cfg(target_os = "linux")]
mod peer;
#[cfg(target_os = "linux")]
mod plot;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod relay;
#[cfg(target_os = "linux")]
mod routes;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod scale;
#[cfg(target_os = "linux")]
mod stalled;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod tls;

fn main() {
    #[cfg(target_os = "linux")]
    run::main();
}
