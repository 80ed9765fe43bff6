//! Several bodies in one window: folded into the batch before the encoder, averaged after it.

use burn::tensor::{Int, Tensor, TensorData};
use tendon_shared::pose::Presence;

/// Which rows of a folded batch belong to which window.
pub struct Bodies {
    /// `[batch, row]` weights that average rows into windows; nothing when each window is one row.
    average: Option<Tensor<2>>,
}

impl Bodies {
    /// Puts the bodies of each window on the batch axis, and with each body its streams if there are several; absent bodies
    /// are left out if `masked`.
    ///
    /// # Shapes
    /// `[batch, body * stream, channel, frame, joint] -> [row, channel, frame, joint]`
    ///
    /// # Panics
    /// When `presence` has not one entry a window: programmer error.
    pub fn fold(
        x: Tensor<5>,
        presence: &[Presence],
        streams: usize,
        masked: bool,
    ) -> (Tensor<4>, Self) {
        let [batch, body, channel, frame, joint] = x.dims();
        assert_eq!(presence.len(), batch, "one presence a window");
        let device = x.device();
        let x = x.reshape([batch * body, channel, frame, joint]);
        let mut kept: Vec<usize> = (0..batch * body)
            .filter(|row| !masked || presence[row / body].contains(row % body / streams))
            .collect();
        if kept.len() == batch && body == 1 {
            return (x, Self { average: None });
        }
        // A batch without any body still needs a row; it gets no weight.
        let nobody = kept.is_empty();
        if nobody {
            kept.push(0);
        }
        let mut weights = vec![0.0_f32; batch * kept.len()];
        if !nobody {
            for window in 0..batch {
                let count = kept.iter().filter(|row| *row / body == window).count();
                for (index, _) in kept
                    .iter()
                    .enumerate()
                    .filter(|(_, row)| *row / body == window)
                {
                    weights[window * kept.len() + index] = 1.0 / count as f32;
                }
            }
        }
        let average = Tensor::from_data(TensorData::new(weights, [batch, kept.len()]), &device);
        let x = if kept.len() == batch * body {
            x
        } else {
            let rows: Vec<i64> = kept.iter().map(|row| *row as i64).collect();
            let count = rows.len();
            x.select(
                0,
                Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &device),
            )
        };
        (
            x,
            Self {
                average: Some(average),
            },
        )
    }

    /// Averages rows into windows; a window without bodies becomes zero.
    ///
    /// # Shapes
    /// `[row, dim] -> [batch, dim]`
    pub fn mean(&self, rows: Tensor<2>) -> Tensor<2> {
        match &self.average {
            Some(average) => average.clone().matmul(rows),
            None => rows,
        }
    }
}
