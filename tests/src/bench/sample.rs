//! Several readings of one thing.

use std::fmt;

/// The middle, the least and the most of some readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    n: usize,
}

impl Sample {
    /// Of these readings.
    ///
    /// # Panics
    /// Without any.
    pub fn of(readings: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = readings.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
        let upper = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[upper]
        } else {
            f64::midpoint(sorted[upper - 1], sorted[upper])
        };
        Self { median, min, max, n: sorted.len() }
    }
}

/// `median (min–max)`, with as many digits as a precision asks for (2 without one); the median alone of a single reading.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$}", self.median)?;
        if self.n > 1 {
            write!(f, " ({:.digits$}–{:.digits$})", self.min, self.max)?;
        }
        Ok(())
    }
}

/// The reading below which this share of all lies.
///
/// # Panics
/// Without any reading.
pub fn percentile(mut readings: Vec<f64>, percent: usize) -> f64 {
    readings.sort_by(f64::total_cmp);
    let place = (readings.len() * percent).div_ceil(100).max(1);
    readings[place - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        for (readings, shown) in [
            (vec![3.0, 1.0, 2.0], "2.0 (1.0–3.0)"),
            (vec![4.0, 1.0, 2.0, 3.0], "2.5 (1.0–4.0)"),
            (vec![7.0], "7.0"),
        ] {
            assert_eq!(format!("{:.1}", Sample::of(readings)), shown);
        }
    }

    #[test]
    fn ninety_nine_of_a_hundred_readings_are_not_above_the_percentile() {
        let readings: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let found = [1, 50, 99, 100].map(|percent| percentile(readings.clone(), percent));
        assert_eq!(format!("{found:?}"), "[1.0, 50.0, 99.0, 100.0]");
    }
}
