//! What operators hear when something is wrong, and that nothing has changed then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use chorus_coordinator::{
    Directory, DirectoryError, PlanFiles, Store, create_task, export_model, list_models, read_task,
    read_task_with, reports, rollback_model, start_task, status, stop_task,
};
use chorus_model::{ItemFeatures, Recipe};
use chorus_protocol::{Identity, Task, TaskName};

const FILMS: &str = "name = 'films'\npopulation = 20\nprivacy = { noise = 'off' }\n\
    recipe = { algorithm = 'ials', items = 12, factors = 2, rounds = 3 }\n";

fn no_plan(file: &str) -> Result<PlanFiles, String> {
    Err(format!("there is no plan {file}"))
}

fn name(name: &str) -> TaskName {
    name.to_owned().try_into().unwrap()
}

#[test]
fn a_wrong_task_file_names_the_field_and_the_reason() {
    let with = |from: &str, to: &str| FILMS.replace(from, to);
    for (text, parts) in [
        (
            with("population = 20", "populaton = 20"),
            vec!["line 2", "did you mean `population`?"],
        ),
        (
            with("rounds = 3", "round = 3"),
            vec!["did you mean `rounds`?"],
        ),
        (with("'ials'", "'als'"), vec!["did you mean `ials`?"]),
        (
            with("privacy = { noise = 'off' }", ""),
            vec!["missing field `privacy`"],
        ),
        (
            with("population = 20", "population = 9"),
            vec!["population", "at least 10"],
        ),
        (
            with("population = 20", "population = 20\ncohort = 0.2"),
            vec!["cohort", "10 are needed"],
        ),
        (
            with("population = 20", "population = 20\ndropout = 0.5"),
            vec!["dropout", "0.3"],
        ),
        (with("factors = 2", "factors = 0"), vec!["factors"]),
        (with("'films'", "'My Films'"), vec!["a-z"]),
        (
            with(
                "noise = 'off'",
                "noise = 'distributed', epsilon = 8.0, delta = 1e-5",
            ),
            vec!["ials-private"],
        ),
    ] {
        let error = read_task(&text).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    let split = "name = 'films'\npopulation = 200\nsplit = 2\n\
        privacy = { noise = 'distributed', epsilon = 8.0, delta = 1e-5 }\n\
        recipe = { algorithm = 'ials-private', items = 12, factors = 2, sweeps = 1 }\n";
    let error = read_task(split).unwrap_err().to_string();
    assert!(error.contains("split: only 1"), "{error}");
}

#[test]
fn a_noised_task_is_filled_in_and_its_features_are_read_from_the_file_it_names() {
    let text = "name = 'films'\npopulation = 200\n\
        privacy = { noise = 'distributed', epsilon = 4.0, delta = 1e-5 }\n\
        recipe = { algorithm = 'ials-private', items = 12, features = 'genres.csv' }\n";
    let csv = "item,feature,weight\n0,comedy,1\n11,comedy,0.5\n3,drama,1\n";
    let load = |file: &str| {
        assert_eq!(file, "genres.csv");
        ItemFeatures::from_csv(csv).map_err(|error| error.to_string())
    };
    let task = read_task_with(text, &load, &no_plan).unwrap();
    let Recipe::IalsPrivate(recipe) = &task.recipe else {
        panic!("another recipe");
    };
    assert_eq!((recipe.factors, recipe.sweeps), (16, 2));
    // The task that is kept has all of it, and names no file.
    let kept = serde_json::to_string(&task).unwrap();
    assert!(kept.contains("comedy") && !kept.contains("genres.csv"));
    assert_eq!(serde_json::from_str::<Task>(&kept).unwrap(), task);
    for (error, part) in [
        (
            read_task(text).unwrap_err(),
            "recipe.features: `genres.csv` cannot be read here",
        ),
        (
            read_task_with(text, &|_| Err("no such file".to_owned()), &no_plan).unwrap_err(),
            "recipe.features: no such file",
        ),
        (
            read_task_with(&text.replace("items = 12", "items = 11"), &load, &no_plan).unwrap_err(),
            "features has an item outside the catalogue",
        ),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn tasks_and_versions_that_are_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let identity = Identity::from_seed(&[1; 32]);
    let films = name("films");
    let sentence = start_task(&store, &films).unwrap_err().to_string();
    assert_eq!(
        sentence,
        "there is no task `films`; the tasks are: none yet"
    );
    let task = read_task(FILMS).unwrap();
    create_task(&store, &identity, &task, 1, 1).unwrap();
    let again = create_task(&store, &identity, &task, 2, 1)
        .unwrap_err()
        .to_string();
    assert!(again.contains("there is a task `films` already"), "{again}");
    let other = name("books");
    for sentence in [
        start_task(&store, &other).unwrap_err().to_string(),
        stop_task(&store, &other).unwrap_err().to_string(),
        list_models(&store, &other).unwrap_err().to_string(),
        export_model(&store, &other, None).unwrap_err().to_string(),
        reports(&store, &other).unwrap_err().to_string(),
        rollback_model(&store, &identity, &other, 1, 1)
            .unwrap_err()
            .to_string(),
    ] {
        assert_eq!(sentence, "there is no task `books`; the tasks are: films");
    }
    for sentence in [
        export_model(&store, &films, Some(2))
            .unwrap_err()
            .to_string(),
        rollback_model(&store, &identity, &films, 2, 1)
            .unwrap_err()
            .to_string(),
    ] {
        assert!(
            sentence.contains("task `films` has no version 2"),
            "{sentence}"
        );
    }
    let status = status(&store, &Directory::new(directory.path()), false).unwrap();
    assert_eq!(
        (
            status.tasks.len(),
            status.log_length,
            status.tasks[0].version
        ),
        (1, 1, 1)
    );
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["tasks"][0]["state"], "created");
    assert_eq!(json["tasks"][0]["sums"], 5);
}

#[test]
fn the_model_is_the_same_for_the_same_seed_and_a_readable_file() {
    let task = read_task(FILMS).unwrap();
    let digest = |seed| {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        create_task(&store, &Identity::from_seed(&[1; 32]), &task, seed, 1).unwrap();
        let exported = export_model(&store, &task.name, None).unwrap();
        chorus_model::Parameters::from_bytes(&exported.bytes).unwrap();
        exported.digest
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn a_store_that_cannot_be_used_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("coordinator.sqlite");
    std::fs::write(
        &file,
        b"this is no database, but long enough to be looked at as one",
    )
    .unwrap();
    let damaged = Store::open(directory.path()).unwrap_err().to_string();
    assert!(
        damaged.contains("damaged") && damaged.contains("backup"),
        "{damaged}"
    );
    std::fs::remove_file(&file).unwrap();
    drop(Store::open(directory.path()).unwrap());
    let raw = rusqlite::Connection::open(&file).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let newer = Store::open(directory.path()).unwrap_err().to_string();
    assert!(
        newer.contains("layout 99") && newer.contains("update chorus"),
        "{newer}"
    );
    std::fs::write(&file, b"").unwrap();
    let empty = Store::open(directory.path()).unwrap_err().to_string();
    assert!(empty.contains("the file is empty"), "{empty}");
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 0);
    std::fs::remove_file(&file).unwrap();
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE theirs (a)").unwrap();
    drop(other);
    let foreign = Store::open(directory.path()).unwrap_err().to_string();
    assert!(foreign.contains("tables of another program"), "{foreign}");
    let nowhere = file.join("below");
    let no_directory = Store::open(&nowhere).unwrap_err().to_string();
    assert!(no_directory.contains("cannot use"), "{no_directory}");
}

#[test]
fn a_directory_that_is_not_enrolled_says_so_and_keeps_its_key_to_itself() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::new(place.path());
    assert!(matches!(
        directory.credentials(1),
        Err(DirectoryError::NotEnrolled { .. })
    ));
    assert_eq!(directory.certificate_until(), None);
    let identity = directory.identity_or_new(&mut rand::rng()).unwrap();
    assert_eq!(
        directory
            .identity_or_new(&mut rand::rng())
            .unwrap()
            .public(),
        identity.public()
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let key = std::fs::metadata(place.path().join("coordinator.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        let file = place.path().join("coordinator.key");
        let rights = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&file, rights(0o640)).unwrap();
        let exposed = directory.identity().map(|_| ()).unwrap_err();
        assert!(matches!(exposed, DirectoryError::Exposed { .. }));
        std::fs::set_permissions(&file, rights(0o600)).unwrap();
    }
    std::fs::write(place.path().join("coordinator.key"), b"short").unwrap();
    let error = directory.identity().map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
    let lock = directory.lock().unwrap();
    assert!(directory.is_served());
    assert!(matches!(
        directory.lock(),
        Err(DirectoryError::InUse { .. })
    ));
    drop(lock);
    assert!(!directory.is_served());
}
