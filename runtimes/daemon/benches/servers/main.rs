//! The program under load, compared with a relay that only copies bytes: CPU time and memory of the process, and delays
//! at its peers.
//!
//! Run it with `cargo bench -p metalbond-daemon`. Options: `-- --test` runs small rounds; `-- NAME...` runs only
//! measurements with such a name; `-- --against 'COMMAND'` also measures another server (`{addr}` or `{port}` stands
//! for its listen address or port on 127.0.0.1); `-- --plot FILE` draws the lines.

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
