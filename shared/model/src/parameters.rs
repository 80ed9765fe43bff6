//! Parameters and buffers by name: the common ground of files, checkpoints, averages and optimisers.
//!
//! A name is the path of fields to a tensor, such as `blocks.3.norm1.gamma`. Burn's own parameter numbers
//! differ from process to process, so nothing that outlives one uses them.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

/// One tensor's values on the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values in row-major order.
    pub data: Vec<f32>,
}

/// Tensors by name, in alphabetical order.
pub type Named = BTreeMap<String, Values>;

/// Values that do not fit a module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The module has a tensor of which there are no values.
    #[error("tensor {name} is missing")]
    Missing {
        /// Name of the tensor.
        name: String,
    },
    /// The values have another shape than the module's tensor.
    #[error("tensor {name} has shape {found:?}, the configuration asks for {expected:?}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Shape of the module's tensor.
        expected: Vec<usize>,
        /// Shape of the values.
        found: Vec<usize>,
    },
}

/// Whether `name` is a running average and not a trained value.
pub fn is_buffer(name: &str) -> bool {
    name.ends_with(".mean") || name.ends_with(".var")
}

/// Copies all parameters and buffers of a module to the host.
pub fn collect(module: &impl Module) -> Named {
    let mut flat = BTreeMap::new();
    visit(module, |name, shape, tensor| {
        let data = tensor.into_data().try_to_vec::<f32>().unwrap_or_default();
        flat.insert(
            name.to_string(),
            Values {
                shape: shape.to_vec(),
                data,
            },
        );
    });
    flat
}

/// Copies the gradients of all parameters that have one to the host.
pub fn collect_gradients(module: &impl Module, gradients: &Gradients) -> Named {
    struct Collect<'a> {
        path: Path,
        gradients: &'a Gradients,
        named: Named,
    }
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }

        fn exit_module(&mut self, _name: &str, container: &str) {
            self.path.exit(container);
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(gradient) = param.val().grad(self.gradients) else {
                return;
            };
            let shape = gradient.dims().to_vec();
            let data = gradient.into_data().try_to_vec().unwrap_or_default();
            self.named.insert(self.path.name(), Values { shape, data });
        }
    }
    let mut collect = Collect {
        path: Path::default(),
        gradients,
        named: Named::new(),
    };
    module.visit(&mut collect);
    collect.named
}

/// Puts `values` into a module. Names that the module does not know are ignored.
///
/// # Errors
/// A tensor of the module is missing or has another shape; the module is lost, make a new one.
pub fn restore<M: Module>(module: M, values: &Named) -> Result<M, RestoreError> {
    let mut mapper = Restore {
        path: Path::default(),
        values,
        error: None,
    };
    let module = module.map(&mut mapper);
    match mapper.error {
        Some(error) => Err(error),
        None => Ok(module),
    }
}

/// Calls `each` with name, shape and flat values (off the autodiff graph) of every tensor.
pub(crate) fn visit(module: &impl Module, each: impl FnMut(&str, &[usize], Tensor<1>)) {
    module.visit(&mut Visit {
        path: Path::default(),
        each,
    });
}

/// The path of fields at which a visitor or mapper stands. Which of several kinds a module is adds nothing to it: files say
/// that in their configuration.
#[derive(Default)]
pub(crate) struct Path(Vec<String>);

impl Path {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        if !is_choice(container) {
            self.0.push(name.to_string());
        }
    }

    pub(crate) fn exit(&mut self, container: &str) {
        if !is_choice(container) {
            self.0.pop();
        }
    }

    pub(crate) fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Whether Burn calls a module of this type by its variant.
fn is_choice(container: &str) -> bool {
    container.starts_with("Enum:")
}

struct Visit<F> {
    path: Path,
    each: F,
}

impl<F: FnMut(&str, &[usize], Tensor<1>)> ModuleVisitor for Visit<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val().without_autodiff();
        let shape = tensor.dims();
        let count = shape.iter().product::<usize>();
        (self.each)(&self.path.name(), &shape, tensor.reshape([count]));
    }
}

struct Restore<'a> {
    path: Path,
    values: &'a Named,
    error: Option<RestoreError>,
}

impl ModuleMapper for Restore<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let shape = param.val().dims();
        let error = match self.values.get(&name) {
            None => RestoreError::Missing { name },
            Some(values)
                if values.shape != shape
                    || values.data.len() != shape.iter().product::<usize>() =>
            {
                RestoreError::Shape {
                    name,
                    expected: shape.to_vec(),
                    found: values.shape.clone(),
                }
            }
            Some(values) => {
                return replace(param, |device| {
                    Tensor::from_data(TensorData::new(values.data.clone(), shape), device)
                });
            }
        };
        self.error.get_or_insert(error);
        param
    }
}

/// A parameter with another value: on the same device, trained or not as before.
pub(crate) fn replace<const D: usize>(
    param: Param<Tensor<D>>,
    value: impl FnOnce(&burn::tensor::Device) -> Tensor<D>,
) -> Param<Tensor<D>> {
    param.map(|old| {
        let trained = old.is_require_grad();
        let device = old.device();
        let new = value(&device.clone().without_autodiff());
        if device.is_autodiff() {
            Tensor::from_inner(new).set_require_grad(trained)
        } else {
            new
        }
    })
}
