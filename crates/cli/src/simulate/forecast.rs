//! What `--plan` says.

use chorus_simulator::{Forecast, SumForecast, forecast};

use super::prepared::Prepared;
use crate::exit::{self, OrExit};
use crate::json::Json;
use crate::words::bytes;
use crate::{engine, progress};

/// Forecasts a run and says it.
pub fn say(prepared: &Prepared, json: &Json) -> anyhow::Result<()> {
    let engine = engine::engine();
    let record = &prepared.record;
    let forecast = forecast(&record.task, &prepared.dataset, &engine, &record.options);
    let forecast = forecast.or_exit(exit::FAILED)?;
    json.write(&forecast)?;
    if !json.replaces_words() {
        progress::say(&words(&forecast));
    }
    Ok(())
}

fn words(forecast: &Forecast) -> String {
    let mut lines = vec![
        format!(
            "{} clients, {} rounds; nothing was learned",
            forecast.clients, forecast.rounds
        ),
        format!(
            "  {:<24} {:>6} {:>8} {:>10} {:>12} {:>12} {:>12}",
            "sum", "rounds", "clients", "upload", "client", "round", "signal/noise"
        ),
    ];
    lines.extend(forecast.sums.iter().map(row));
    lines.push(format!(
        "  a client uploads {} in all; the run takes {} on this machine",
        bytes(forecast.upload_bytes_per_client_in_all),
        time(forecast.seconds)
    ));
    if let (Some(epsilon), Some(needed)) = (forecast.epsilon, forecast.clients_needed) {
        let verdict = match needed <= forecast.clients {
            true => format!("enough: {needed} clients would do"),
            false => {
                format!("too few: from about {needed} clients on each sum says more than its noise")
            }
        };
        lines.push(format!("  epsilon {epsilon:.3}: {verdict}"));
    }
    lines.join("\n")
}

fn row(sum: &SumForecast) -> String {
    let ratio = sum
        .signal_to_noise
        .map_or_else(|| "no noise".to_owned(), |ratio| format!("{ratio:.2}"));
    format!(
        "  {:<24} {:>6} {:>8} {:>10} {:>12} {:>12} {ratio:>12}",
        sum.name,
        sum.rounds,
        sum.clients,
        bytes(sum.upload_bytes),
        time(sum.client_seconds),
        time(sum.seconds),
    )
}

fn time(seconds: f64) -> String {
    match seconds {
        little if little < 1e-3 => format!("{:.0} us", little * 1e6),
        short if short < 1.0 => format!("{:.1} ms", short * 1e3),
        some if some < 120.0 => format!("{some:.1} s"),
        long => format!("{:.0} min", long / 60.0),
    }
}
