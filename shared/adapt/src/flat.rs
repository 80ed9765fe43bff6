//! A tail's weights and gradients as one flat list, in the module's own order.
//!
//! Averaging, clipping, restoring and saving are then plain loops over numbers.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

/// Copies all float weights of `module`.
pub fn weights<M: Module>(module: &M) -> Vec<f32> {
    struct Reader(Vec<f32>);
    impl ModuleVisitor for Reader {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(values(param.val()));
        }
    }
    let mut reader = Reader(Vec::new());
    module.visit(&mut reader);
    reader.0
}

/// The gradients of all float weights of `module`; zeros where the loss does not reach.
pub fn gradients<M: Module>(module: &M, gradients: &Gradients) -> Vec<f32> {
    struct Reader<'g>(Vec<f32>, &'g Gradients);
    impl ModuleVisitor for Reader<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let weight = param.val();
            match weight.grad(self.1) {
                Some(gradient) => self.0.extend(values(gradient)),
                None => self
                    .0
                    .resize(self.0.len() + weight.shape().num_elements(), 0.0),
            }
        }
    }
    let mut reader = Reader(Vec::new(), gradients);
    module.visit(&mut reader);
    reader.0
}

/// The same module with `weights` on `device`; they take gradients when the device does. Missing values stay zero.
pub fn with_weights<M: Module>(module: M, weights: &[f32], device: &Device) -> M {
    struct Writer<'w>(&'w [f32], &'w Device);
    impl ModuleMapper for Writer<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let shape = param.val().shape();
            let count = shape.num_elements().min(self.0.len());
            let (head, rest) = self.0.split_at(count);
            self.0 = rest;
            let mut list = head.to_vec();
            list.resize(shape.num_elements(), 0.0);
            let tensor = Tensor::from_data(TensorData::new(list, shape), self.1);
            let tensor = if self.1.is_autodiff() {
                tensor.require_grad()
            } else {
                tensor
            };
            Param::initialized(param.id, tensor)
        }
    }
    module.map(&mut Writer(weights, device))
}

/// The values of a tensor, row by row.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    // The tail is made of f32 tensors only, so the conversion cannot fail.
    tensor.into_data().try_to_vec::<f32>().unwrap_or_default()
}
