//! A transaction for each step.

use super::{Engine, Reader, io};
use crate::{
    load::Request,
    record::{Command, Step},
    system::{Answer, Caller, Io, System},
};
use std::sync::Arc;

pub struct Direct(pub Arc<dyn Engine>);

struct DirectCaller<'e> {
    engine: &'e dyn Engine,
    reader: Box<dyn Reader + 'e>,
}

impl System for Direct {
    fn caller(&self) -> Box<dyn Caller + '_> {
        Box::new(DirectCaller { engine: &*self.0, reader: self.0.reader() })
    }

    fn io(&self) -> Io {
        io(&*self.0)
    }
}

impl DirectCaller<'_> {
    fn run(&self, id: &str, step: Step) -> Answer {
        let mut answers = self.engine.transact(&[Command { id: id.to_owned(), step }]);
        answers.pop().expect("one answer per command")
    }
}

impl Caller for DirectCaller<'_> {
    fn begin(&mut self, id: &str, request: &Request) -> Answer {
        let known = self.reader.answer(id, request);
        known.unwrap_or_else(|| self.run(id, Step::Begin(*request)))
    }

    fn complete(&mut self, id: &str, payload: &[u8]) {
        assert_eq!(self.run(id, Step::Complete(payload.to_vec())), Answer::Done);
    }
}
