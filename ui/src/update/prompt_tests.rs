//! What is typed for held messages and rules stays in its prompt until it can be used.

use shadowcat::intercept::interceptor::InterceptCommand;

use super::held_tests::{asked, at_the_oldest, id};
use crate::fake::Fake;
use crate::model::Mode;
use crate::stage::Stage;

#[test]
fn an_answer_that_is_wrong_stays_in_its_prompt_with_the_reason() {
    let mut stage = at_the_oldest();
    stage.keys("m<ctrl-u>{\"a\":<enter>");
    assert!(stage.text().contains("the answer would be no JSON"));
    stage.keys("c");
    assert_eq!(asked(&mut stage), [], "what is typed next is no key");
    assert!(stage.text().contains("result: {\"a\":c"), "{}", stage.text());
    stage.keys("<backspace>1}<enter>");
    let result = "{\"a\":1}".to_owned();
    assert_eq!(
        asked(&mut stage),
        [InterceptCommand::Answer { id: id(1), result }]
    );
    assert!(matches!(stage.model.mode, Mode::Normal));
}

#[test]
fn a_filter_that_is_wrong_stays_in_its_prompt_with_the_reason() {
    let mut stage = Stage::new(Fake::holding(), 120, 40);
    stage.keys("I");
    stage.keys("b(kind:error<enter>");
    let reason = shadowcat::intercept::filter::Filter::parse("(kind:error").unwrap_err();
    assert!(stage.text().contains(&reason.message), "{}", stage.text());
    assert_eq!(asked(&mut stage), []);
    stage.keys(")<enter>");
    let (filter, is_once) = ("(kind:error)".to_owned(), false);
    assert_eq!(asked(&mut stage), [InterceptCommand::Break { filter, is_once }]);
    stage.keys("ghjjj");
    stage.keys("w<ctrl-u>(a<enter>");
    assert_eq!(asked(&mut stage), []);
    assert!(matches!(stage.model.mode, Mode::Hold(_)));
}

#[test]
fn a_delay_that_is_no_number_says_so_beside_its_prompt() {
    let mut stage = at_the_oldest();
    stage.keys("zsabc<enter>");
    assert_eq!(asked(&mut stage), []);
    let text = stage.text();
    assert!(text.contains("seconds: 5abc"), "{text}");
    assert!(text.contains("a number of seconds, such as 2.5"), "{text}");
}
