//! Catalog and tags, page by page, with what registries make of them.

use regent_distribution::{Error, NumberedPage, Page, PageLimits, PageQuery, Pages, Scope, Subject};
use regent_oci::{Digest, RepositoryName, Tag};
use regent_transport::Fault as _;

use crate::script::{Reply, Script, ok, reply, robot, run};

fn tags(script: &std::sync::Arc<Script>, query: &PageQuery) -> Result<Page<Tag>, Error> {
    run(script.session(robot()).tags(&"team/app".parse().unwrap(), query))
}

fn catalog(script: &std::sync::Arc<Script>, query: &PageQuery) -> Result<Page<RepositoryName>, Error> {
    run(script.session(robot()).catalog(query, &Scope::catalog()))
}

fn after(cursor: &str) -> PageQuery {
    PageQuery { n: Some(100), after: Some(cursor.to_owned()) }
}

#[test]
fn only_the_query_of_the_next_link_is_taken_and_put_on_our_path() {
    let rows = [
        ("relative", r#"</v2/team/app/tags/list?last=v2&n=2>; rel="next""#, "last=v2&n=2"),
        ("foreign host", r#"<https://evil.example/v2/x?last=v2>; rel="next""#, "last=v2"),
        ("without prefix", r#"</team/app/tags/list?last=10000&n=10000>; rel="next","#, "last=10000&n=10000"),
        ("too much prefix", "</repository/x/v2/team/app/tags/list?last=v2>; rel=next", "last=v2"),
        ("opaque", "<?last=eyJhbGciOi%3D%3D&n=2>; rel=\"next\"", "last=eyJhbGciOi%3D%3D&n=2"),
        ("previous first", r#"</x?n=2>; rel="previous", </x?last=c&n=2>; rel="next""#, "last=c&n=2"),
        ("empty orderby (ACR)", r#"</x?last=x&n=2&orderby=>; rel="next""#, "last=x&n=2&orderby="),
    ];
    for (name, link, expected) in rows {
        // Shorter than asked for, and still not the last.
        let script = Script::new([ok(r#"{"tags":["v1"]}"#).header("link", link), ok(r#"{"tags":["v3"]}"#)]);
        let first = tags(&script, &PageQuery::first(100)).unwrap();
        assert_eq!(first.next.as_deref(), Some(expected), "{name}");
        let second = tags(&script, &after(&first.next.unwrap())).unwrap();
        assert_eq!(second.next, None, "{name}");
        let lines = script.lines();
        assert_eq!(lines[0], "GET https://r.example/v2/team/app/tags/list?n=100", "{name}");
        assert_eq!(lines[1], format!("GET https://r.example/v2/team/app/tags/list?{expected}"), "{name}");
    }
}

#[test]
fn a_listing_of_an_api_of_its_own_is_read_like_the_protocols() {
    let link = r#"</acr/v1/_catalog?last=b&n=2&orderby=>; rel="next""#;
    let first = ok(r#"{"repositories":["a","b"]}"#).header("link", link);
    let script = Script::new([first, ok(r#"{"repositories":null}"#)]);
    let session = script.session(robot());
    let url = session.endpoint().below(["acr", "v1", "_catalog"]);
    let list = |query: &PageQuery| {
        let scope = Scope::catalog();
        let page = session.names(url.clone(), query, &scope, &Subject::Catalog, "repositories");
        run(page).unwrap() as Page<RepositoryName>
    };
    let page = list(&PageQuery::first(2));
    assert_eq!(page.items.iter().map(RepositoryName::as_str).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(list(&after(&page.next.unwrap())).next, None);
    let expected =
        ["n=2", "last=b&n=2&orderby="].map(|q| format!("GET https://r.example/acr/v1/_catalog?{q}"));
    assert_eq!(script.lines(), expected);
}

#[test]
fn without_a_next_link_the_listing_has_ended() {
    for link in [r#"</x?n=2>; rel="previous""#, r#"</x?n=2>; rel="last""#, ""] {
        let script = Script::new([ok(r#"{"tags":["v1"]}"#).header("link", link)]);
        assert_eq!(tags(&script, &PageQuery::first(1)).unwrap().next, None, "{link}");
    }
}

#[test]
fn a_link_that_leads_nowhere_new_is_an_error() {
    let rows = [
        (r#"</x?last=a&n=1>; rel="next""#, "paging_loop"),
        (r#"</x>; rel="next""#, "registry_answer_invalid"),
    ];
    for (link, code) in rows {
        let script = Script::new([ok(r#"{"tags":["a"]}"#).header("link", link)]);
        assert_eq!(tags(&script, &after("last=a&n=1")).unwrap_err().code(), code, "{link}");
    }
}

#[test]
fn cursors_that_no_page_gave_are_refused_or_stay_a_query() {
    for cursor in ["", "a\nb", "a#b", &"a".repeat(5000)] {
        let script = Script::new([]);
        assert_eq!(tags(&script, &after(cursor)).unwrap_err().code(), "cursor_invalid", "{cursor}");
        script.seen();
    }
    let script = Script::new([ok("{}")]);
    tags(&script, &after("../../_catalog?x=@evil.example/ y")).unwrap();
    assert_eq!(
        script.lines(),
        ["GET https://r.example/v2/team/app/tags/list?../../_catalog?x=@evil.example/%20y"]
    );
}

#[test]
fn lists_are_read_as_registries_write_them() {
    let digest = Digest::sha256(b"x");
    let rows: Vec<(String, &[&str], usize)> = vec![
        (r#"{"name":"team/app","tags":["v1","v2","v10"]}"#.into(), &["v1", "v2", "v10"], 0),
        (r#"{"name":"team/app","tags":null}"#.into(), &[], 0),
        (r#"{"name":"team/app"}"#.into(), &[], 0),
        (r#"{"tags":["a",null,"","b"]}"#.into(), &["a", "b"], 0),
        (format!(r#"{{"tags":["a","{digest}"]}}"#), &["a"], 0),
        (r#"{"tags":["a","b","a"]}"#.into(), &["a", "b"], 0),
        (r#"{"tags":["a","-b","../c","d e",7,{}]}"#.into(), &["a"], 5),
        (r#"{"child":["x"],"manifest":{},"tags":["a"]}"#.into(), &["a"], 0),
    ];
    for (body, expected, skipped) in rows {
        let script = Script::new([ok(body.clone()).header("content-type", "text/plain; charset=utf-8")]);
        let page = tags(&script, &PageQuery::default()).unwrap();
        let got: Vec<&str> = page.items.iter().map(Tag::as_str).collect();
        assert_eq!((got.as_slice(), page.skipped), (expected, skipped), "{body}");
        assert_eq!(script.lines(), ["GET https://r.example/v2/team/app/tags/list"], "no n was asked for");
    }
    for body in ["<html>", "", "[]", "7", r#"{"tags":"a"}"#, r#"{"errors":[{"code":"DENIED"}]}"#] {
        let script = Script::new([ok(body)]);
        assert_eq!(
            tags(&script, &PageQuery::default()).unwrap_err().code(),
            "registry_answer_invalid",
            "{body}"
        );
    }
}

#[test]
fn a_page_size_that_is_refused_is_left_out_once() {
    let too_many = || reply(400).body(r#"{"errors":[{"code":"PAGINATION_NUMBER_INVALID"}]}"#);
    let ecr = || reply(405).body(r#"{"errors":[{"code":"UNSUPPORTED"}]}"#);
    for refusal in [&too_many as &dyn Fn() -> Reply, &ecr] {
        let script = Script::new([refusal(), ok(r#"{"tags":["a"]}"#), refusal(), ok("{}")]);
        assert_eq!(tags(&script, &PageQuery::first(5000)).unwrap().items.len(), 1);
        tags(&script, &after("last=a&n=5000&x=y")).unwrap();
        let lines = script.lines();
        assert_eq!(lines[1], "GET https://r.example/v2/team/app/tags/list");
        assert_eq!(lines[3], "GET https://r.example/v2/team/app/tags/list?last=a&x=y");
        let script = Script::new([refusal(), refusal()]);
        assert_eq!(tags(&script, &PageQuery::first(5000)).unwrap_err().code(), "registry_answer_invalid");
        script.seen();
    }
    // Another 400 is not about the size.
    let script = Script::new([reply(400).body(r#"{"errors":[{"code":"NAME_INVALID"}]}"#)]);
    let error = tags(&script, &PageQuery::first(5000)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the answer 400 Bad Request to the request for the tags of team/app was not expected (NAME_INVALID)"
    );
}

#[test]
fn an_unknown_repository_is_said_to_be_unknown_or_hidden() {
    let script = Script::new([reply(404).body(r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#)]);
    let error = tags(&script, &PageQuery::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "can't find the tags of team/app: not there, or not visible to the credentials (NAME_UNKNOWN)"
    );
    assert_eq!(error.code(), "not_found");
}

#[test]
fn a_registry_without_a_catalog_is_told_from_one_that_denies_it() {
    let rows = [
        (vec![reply(404)], "catalog_unsupported"),
        (vec![reply(405), reply(405)], "catalog_unsupported"),
        (vec![reply(501)], "catalog_unsupported"),
        (vec![reply(403)], "permission_missing"),
        (vec![ok("<html>")], "registry_answer_invalid"),
    ];
    for (replies, code) in rows {
        let script = Script::new(replies);
        assert_eq!(catalog(&script, &PageQuery::first(100)).unwrap_err().code(), code);
        assert_eq!(script.lines()[0], "GET https://r.example/v2/_catalog?n=100");
    }
    let script = Script::new([ok(r#"{"repositories":["a/b","Not/Ours","c"]}"#)]);
    let page = catalog(&script, &PageQuery::first(100)).unwrap();
    assert_eq!((page.items.len(), page.skipped), (2, 1));
}

/// Walks pages that are written down as `(items, next)`; cursors are the indexes of pages.
fn walk(pages: &[(&[u32], Option<usize>)], limits: PageLimits) -> Result<Vec<u32>, Error> {
    let fetch = |cursor: Option<String>| {
        let (items, next) = pages[cursor.map_or(0, |c| c.parse().unwrap())];
        let page = (items.to_vec(), next.map(|n| n.to_string()));
        async move { Ok::<_, Error>(page) }
    };
    run(Pages::new("the tags of x", limits, |n: &u32| *n, fetch).collect())
}

#[test]
fn a_walk_ends_with_the_listing_or_with_an_error() {
    let limits = PageLimits { pages: 4, items: 5 };
    type Listing<'a> = &'a [(&'a [u32], Option<usize>)];
    type Outcome<'a> = Result<&'a [u32], &'a str>;
    let rows: &[(&str, Listing<'_>, Outcome<'_>)] = &[
        ("one page", &[(&[1, 2], None)], Ok(&[1, 2])),
        ("no items", &[(&[], None)], Ok(&[])),
        ("three pages", &[(&[1], Some(1)), (&[2], Some(2)), (&[3], None)], Ok(&[1, 2, 3])),
        ("an empty page in between", &[(&[1], Some(1)), (&[], Some(2)), (&[3], None)], Ok(&[1, 3])),
        ("pages that overlap", &[(&[1, 2], Some(1)), (&[2, 3], None)], Ok(&[1, 2, 3])),
        ("a last page with nothing new", &[(&[1, 2], Some(1)), (&[2], None)], Ok(&[1, 2])),
        ("a page that leads to itself", &[(&[1], Some(0))], Err("paging_loop")),
        ("a circle of empty pages", &[(&[], Some(1)), (&[], Some(0))], Err("paging_loop")),
        (
            "pages that bring nothing new",
            &[(&[1], Some(1)), (&[1], Some(2)), (&[2], None)],
            Err("paging_loop"),
        ),
        ("as many items as allowed", &[(&[1, 2, 3], Some(1)), (&[4, 5], None)], Ok(&[1, 2, 3, 4, 5])),
        ("too many items", &[(&[1, 2, 3, 4, 5, 6], None)], Err("paging_limit")),
        (
            "too many pages",
            &[(&[], Some(1)), (&[], Some(2)), (&[], Some(3)), (&[], Some(4)), (&[], None)],
            Err("paging_limit"),
        ),
    ];
    for (name, pages, expected) in rows {
        let got = walk(pages, limits).map_err(|e| e.code().to_owned());
        let expected = expected.map(<[u32]>::to_vec).map_err(str::to_owned);
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn a_walk_passes_the_errors_of_its_pages_on() {
    let fetch = |_: Option<String>| async { Err::<(Vec<u32>, _), _>(Error::CursorInvalid) };
    let outcome = run(Pages::new("x", PageLimits::default(), |n: &u32| *n, fetch).collect());
    assert!(matches!(outcome, Err(Error::CursorInvalid)));
}

#[test]
fn a_numbered_page_is_followed_by_another_where_a_link_says_so() {
    let prev = r#"<https://r.example/api/things?page=2>; rel="prev", <https://r.example/api/things?page=9>; rel="last""#;
    let rows = [
        (Some(r#"<https://r.example/api/things?kind=a&page=4>; rel="next""#), true),
        (Some(prev), false),
        (None, false),
    ];
    for (link, more) in rows {
        let mut answer = ok("[1,2]");
        if let Some(link) = link {
            answer = answer.header("link", link);
        }
        let script = Script::new([answer]);
        let url = "https://r.example/api/things?kind=a".parse().unwrap();
        let subject = Subject::Other("things".to_owned());
        let page = run(script.session(robot()).numbered::<u32>(url, 3, 100, &subject)).unwrap();
        assert_eq!(page, NumberedPage { elements: vec![1, 2], more }, "{link:?}");
        assert_eq!(script.lines(), ["GET https://r.example/api/things?kind=a&per_page=100&page=3"]);
    }
}
