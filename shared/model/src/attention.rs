//! Attention among the joints of a window without a softmax: what PSP Learning's encoder and its pyramid have in common.

use burn::nn::Linear;
use burn::tensor::Tensor;

/// Maps features and parts them into heads, ready to be compared: a row holds what a node has in all frames.
///
/// # Shapes
/// - `x`: `[batch, node, frame, channel]`
/// - `code`: `[node, channel]`, added to `x` before the map
/// - output: `[head, batch, node, frame * channel out / heads]`
pub(crate) fn heads(
    map: &Linear,
    x: Tensor<4>,
    code: Option<&Tensor<2>>,
    heads: usize,
) -> Tensor<4> {
    let [batch, node, frame, input] = x.dims();
    let [_, output] = map.weight.dims();
    let weight = map.weight.val();
    // One product over all rows. The map of the code is added to its result, which costs what a bias costs.
    let mapped = x
        .reshape([batch * node * frame, input])
        .matmul(weight.clone());
    let mapped = mapped.reshape([batch, node, frame, output]);
    let bias = map
        .bias
        .as_ref()
        .map(|bias| bias.val().reshape([1, output]));
    let coded = code.map(|code| code.clone().matmul(weight));
    let added = match (coded, bias) {
        (Some(coded), Some(bias)) => Some(coded + bias),
        (Some(added), None) | (None, Some(added)) => Some(added),
        (None, None) => None,
    };
    let mapped = match added {
        Some(added) => {
            let [nodes, _] = added.dims();
            mapped + added.reshape([1, nodes, 1, output])
        }
        None => mapped,
    };
    mapped
        .reshape([batch, node, frame, heads, output / heads])
        .permute([3, 0, 1, 2, 4])
        .reshape([heads, batch, node, frame * (output / heads)])
}

/// How alike nodes are: the hyperbolic tangent of the mean product over frames and channels.
///
/// # Shapes
/// `query`, `key`: `[head, batch, node, value]`, as [`heads`] makes them; output `[head, batch, node of query, node of key]`
pub(crate) fn similarity(query: Tensor<4>, key: Tensor<4>) -> Tensor<4> {
    let [.., values] = query.dims();
    (query.matmul(key.transpose()) / values as f64).tanh()
}
